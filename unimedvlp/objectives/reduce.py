"""Means over the entries that count."""

import jax
import jax.numpy as jnp


def masked_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of values `[...]` weighted by `weights` (bool or float, broadcast to them): float32, 0 if none counts.

    A value of weight 0 may be anything, also not finite.
    """
    weights = jnp.broadcast_to(weights, values.shape).astype(jnp.float32)
    values = jnp.where(weights > 0, values.astype(jnp.float32), 0)
    total = weights.sum()
    return (values * weights).sum() / jnp.where(total > 0, total, 1)
