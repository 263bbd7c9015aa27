"""Image-text matching with hard negatives (ALBEF, Li et al., 2021): does this text belong to this image?

In a large global batch reshape embeddings and features to `[blocks, B / blocks, ...]`, a block per device: negatives
are then drawn within a block and no features travel between devices.
"""

import jax
import jax.numpy as jnp
import optax

from unimedvlp.objectives.contrast import NEVER
from unimedvlp.objectives.reduce import masked_mean


def hard_negatives(
    rng: jax.Array, logits: jax.Array, *, groups: jax.Array | None = None, valid: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For every image a text and for every text an image of another group, the more alike the likelier.

    logits `[..., B, B]` are the scaled similarities of images with texts; groups int and valid bool `[..., B]` as in
    `contrast`. Returns the texts `[..., B]` drawn for the images, the images `[..., B]` drawn for the texts (from the
    softmax over what is allowed), and `found` bool `[..., B]`: False where nothing is allowed (then the index means
    nothing).
    """
    size = logits.shape[-1]
    groups = jnp.broadcast_to(jnp.arange(size), logits.shape[:-1]) if groups is None else groups
    valid = jnp.ones(groups.shape, bool) if valid is None else valid
    allowed = groups[..., :, None] != groups[..., None, :]
    allowed &= valid[..., :, None] & valid[..., None, :]
    logits = jnp.where(allowed, jax.lax.stop_gradient(logits).astype(jnp.float32), NEVER)
    for_images, for_texts = jax.random.split(rng)
    texts = jax.random.categorical(for_images, logits)
    images = jax.random.categorical(for_texts, logits.swapaxes(-1, -2))
    return texts, images, allowed.any(axis=-1)


def matching_loss(
    logits: jax.Array, match: jax.Array, valid: jax.Array | None = None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Cross-entropy of logits `[M, 2]` (no, yes) against match bool `[M]`, over `valid` pairs; ln 2 at the start."""
    valid = jnp.ones(match.shape, bool) if valid is None else valid
    logits, labels = logits.astype(jnp.float32), match.astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    right = jnp.argmax(logits, axis=-1) == labels
    return masked_mean(losses, valid), {"matching_accuracy": masked_mean(right, valid)}
