"""Agreement of UniMed's two decoders. The form is our reconstruction; the paper only says that they are coupled."""

import jax
import jax.numpy as jnp

from unimedvlp.boxes import iou
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


def box_places(
    target: jax.Array, boxes: jax.Array, object_mask: jax.Array, start: int, bins: int
) -> tuple[jax.Array, jax.Array]:
    """Where each object's box stands in a response: place of its first coordinate int32 `[B, K]`, and whether it is there.

    `target` int `[B, R]` are the ids to be said, of which `start` to `start + bins - 1` are coordinates; `boxes` `[B, K, 4]`.
    A box is there if four coordinates in a row are its own within half a bin each.
    """
    coordinate = (target >= start) & (target < start + bins)
    value = (target - start) / (bins - 1)
    length = target.shape[1] - 3
    windows = jnp.stack([value[:, i : i + length] for i in range(4)], axis=-1)
    complete = jnp.stack([coordinate[:, i : i + length] for i in range(4)], axis=-1).all(axis=-1)
    distance = jnp.abs(windows[:, :, None] - boxes[:, None]).max(axis=-1)
    distance = jnp.where(complete[:, :, None], distance, jnp.inf)
    return distance.argmin(axis=1), (distance.min(axis=1) < 0.6 / (bins - 1)) & object_mask
