"""Contrast of an example's two embeddings: InfoNCE (CLIP, Radford et al., 2021), sigmoid (SigLIP, Zhai et al., 2023).

These are the plain forms, with the whole `[B, B]` matrix at once; `ring_contrast` has them for large global batches.
Examples of the same `group` (an int per example; all different by default) are positives of each other, so that a
report which occurs twice in a batch is no negative of itself. Examples that are not `valid` (no pair, or padding) are
neither anchors nor negatives. Embeddings are expected at unit length (`unit`).
"""

import jax
import jax.numpy as jnp

from unimedvlp.objectives.reduce import masked_mean

NEVER = -1e30  # a logit that no softmax sees; finite, so that rows without any other stay finite


def unit(x: jax.Array) -> jax.Array:
    """x `[..., D]` at length 1, float32; zero stays zero, with a finite gradient."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.square(x).sum(axis=-1, keepdims=True) + 1e-12)


def logit_scale(log_scale: jax.Array, most: float = 100.0) -> jax.Array:
    """The learned inverse temperature exp(log_scale), at most `most` as in CLIP; beyond it the gradient is 0."""
    return jnp.minimum(jnp.exp(log_scale.astype(jnp.float32)), most)


def similarities(a: jax.Array, b: jax.Array) -> jax.Array:
    """Inner products `[A, B]` of `[A, D]` and `[B, D]`, float32 in full precision on every device."""
    return jnp.einsum("id,jd->ij", a, b, precision="highest", preferred_element_type=jnp.float32)


def info_nce(
    a: jax.Array,
    b: jax.Array,
    scale: jax.Array,
    *,
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Symmetric InfoNCE of embeddings a and b `[B, D]` with logits `scale` times their inner products.

    With several positives the target is uniform over them. Mean of both directions; about ln B + scale^2 / (2 D) for
    random unit vectors. `contrast_accuracy`: how often the nearest embedding of the other side is a positive.
    """
    positive, known, valid = _pairs(len(a), groups, valid)
    logits = jnp.where(known, scale * similarities(a, b), NEVER)

    def direction(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        share = positive / jnp.maximum(positive.sum(axis=1, keepdims=True), 1)
        losses = -(share * jax.nn.log_softmax(logits)).sum(axis=1)
        right = jnp.where(positive, logits, NEVER).max(axis=1) >= logits.max(axis=1)
        return masked_mean(losses, valid), masked_mean(right, valid)

    (forward, right_forward), (backward, right_backward) = direction(logits), direction(logits.T)
    return (forward + backward) / 2, {"contrast_accuracy": (right_forward + right_backward) / 2}


def sigmoid_loss(
    a: jax.Array,
    b: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    *,
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Sigmoid loss of embeddings a and b `[B, D]`: a yes or no for every pair, summed over pairs, a mean over examples.

    Logits are `scale` times the inner products plus `bias`; B ln 2 for logits of 0.
    SigLIP starts at scale 10 and bias -10.
    """
    positive, known, valid = _pairs(len(a), groups, valid)
    logits = scale * similarities(a, b) + bias
    losses = jnp.where(known, jax.nn.softplus(jnp.where(positive, -logits, logits)), 0)
    return masked_mean(losses.sum(axis=1), valid)


def _pairs(size: int, groups: jax.Array | None, valid: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Which pairs are positive `[B, B]`, which count at all `[B, B]`, and which examples do `[B]`."""
    groups = jnp.arange(size) if groups is None else groups
    valid = jnp.ones(size, bool) if valid is None else valid
    known = valid[:, None] & valid[None, :]
    return (groups[:, None] == groups[None, :]) & known, known, valid
