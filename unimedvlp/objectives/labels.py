"""Image-level labels: one class of several, or several findings at once."""

import jax
import jax.numpy as jnp
import optax

from unimedvlp.objectives.reduce import masked_mean


def class_loss(logits: jax.Array, classes: jax.Array, labelled: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Cross-entropy of logits `[B, C]` against classes int `[B]`, and accuracy, over `labelled` examples (bool `[B]`).

    ln C at initialisation.
    """
    logits = logits.astype(jnp.float32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(labelled, classes, 0))
    right = jnp.argmax(logits, axis=-1) == classes
    return masked_mean(losses, labelled), {"class_accuracy": masked_mean(right, labelled)}


def finding_loss(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Binary cross-entropy of logits `[B, G]` against labels float `[B, G]`, and accuracy, over known ones (not nan).

    Labels between 0 and 1 are soft targets. ln 2 at initialisation.
    """
    known = ~jnp.isnan(labels)
    labels, logits = jnp.where(known, labels, 0), logits.astype(jnp.float32)
    losses = optax.sigmoid_binary_cross_entropy(logits, labels)
    right = (logits > 0) == (labels > 0.5)
    return masked_mean(losses, known), {"finding_accuracy": masked_mean(right, known)}
