"""Teacher-student consistency on unlabelled images: the named alternative to masked image modelling in UniMed.

The paper only says "unsupervised loss"; thresholds and form are our reconstruction, after the usual weak-to-strong
scheme: an averaged teacher sees the image, the student a stronger augmentation, and only confident teachers teach.
Gradient flows into the student alone.
"""

import jax
import jax.numpy as jnp
import optax

from unimedvlp.objectives.reduce import masked_mean


def mask_consistency(student: jax.Array, teacher: jax.Array, *, confidence: float = 0.9) -> jax.Array:
    """Binary cross-entropy of mask logits `[..., H, W]` where the teacher is sure, beyond `confidence`, either way.

    0 where the teacher is nowhere confident.
    """
    probability = jax.nn.sigmoid(jax.lax.stop_gradient(teacher).astype(jnp.float32))
    sure = jnp.maximum(probability, 1 - probability) > confidence
    losses = optax.sigmoid_binary_cross_entropy(student.astype(jnp.float32), (probability > 0.5).astype(jnp.float32))
    return masked_mean(losses, sure)


def class_consistency(student: jax.Array, teacher: jax.Array, *, confidence: float = 0.7) -> jax.Array:
    """Cross-entropy of class logits `[..., C]` against the teacher's best class where it is beyond `confidence`."""
    probabilities = jax.nn.softmax(jax.lax.stop_gradient(teacher).astype(jnp.float32))
    best = jnp.argmax(probabilities, axis=-1)
    losses = optax.softmax_cross_entropy_with_integer_labels(student.astype(jnp.float32), best)
    return masked_mean(losses, probabilities.max(axis=-1) > confidence)
