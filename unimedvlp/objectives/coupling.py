"""Agreement of UniMed's two decoders. The form is our reconstruction; the paper only says that they are coupled."""

import jax
import jax.numpy as jnp

from unimedvlp.objectives.boxes import iou
from unimedvlp.objectives.reduce import masked_mean


def soft_coordinates(logits: jax.Array) -> jax.Array:
    """The expected coordinate `[...]`, 0..1, under logits `[..., bins]` over equal bins from 0 to 1."""
    bins = logits.shape[-1]
    return jax.nn.softmax(logits.astype(jnp.float32)) @ jnp.linspace(0.0, 1.0, bins)


def coupling_loss(logits: jax.Array, boxes: jax.Array, object_mask: jax.Array) -> jax.Array:
    """Mean 1 - IoU between boxes `[B, K, 4]` of the matched masks and boxes read softly from coordinate tokens.

    logits `[B, K, 4, bins]` are those of the four coordinates (ymin, xmin, ymax, xmax) of each object, object_mask is
    bool `[B, K]`. 0 where both decoders agree; gradient flows into whichever side has one.
    """
    return masked_mean(1 - iou(soft_coordinates(logits), boxes), object_mask)
