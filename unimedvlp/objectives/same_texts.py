"""Which texts of a batch say the same, so that contrast does not hold them against each other."""

import jax
import jax.numpy as jnp


def same_texts(ids: jax.Array, mask: jax.Array) -> jax.Array:
    """Equal numbers int32 `[B]` for equal texts: the `groups` of the contrastive losses. ids `[B, L]`, mask bool `[B, L]`."""
    ids = jnp.where(mask, ids, 0).astype(jnp.uint32)

    def mix(number: jax.Array, column: jax.Array) -> tuple[jax.Array, None]:
        return (number ^ column) * jnp.uint32(16777619), None  # FNV-1a, a word at a time

    number, _ = jax.lax.scan(mix, jnp.full(len(ids), 2166136261, jnp.uint32), ids.T)
    return jax.lax.bitcast_convert_type(number, jnp.int32)
