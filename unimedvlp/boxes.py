"""Boxes: formats, intersection over union (Rezatofighi et al., 2019, for the generalised one), distances.

A box is `(ymin, xmin, ymax, xmax)` or, where a function says "centres", `(y, x, height, width)`, in any one unit; the
house uses 0..1 of the image. Functions of two sets broadcast their leading axes: `[..., 4]` with `[..., 4]` compares
pairs, `[..., N, 1, 4]` with `[..., 1, M, 4]` all with all (`pairwise`). Boxes of no or negative extent count as area 0
and give finite values and gradients everywhere.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_EPSILON = 1e-9


def to_centres(boxes: jax.Array) -> jax.Array:
    """Corners `[..., 4]` -> centres `[..., 4]`."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return jnp.concatenate([(low + high) / 2, high - low], axis=-1)


def to_corners(centres: jax.Array) -> jax.Array:
    """Centres `[..., 4]` -> corners `[..., 4]`."""
    middle, half = centres[..., :2], centres[..., 2:] / 2
    return jnp.concatenate([middle - half, middle + half], axis=-1)


def area(boxes: jax.Array) -> jax.Array:
    """Area `[...]` of corners `[..., 4]`."""
    return jnp.prod(jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """Intersection over union `[...]`, 0..1; 0 where both boxes are empty."""
    intersection, union = _overlap(a, b)
    return intersection / jnp.maximum(union, _EPSILON)


def giou(a: jax.Array, b: jax.Array) -> jax.Array:
    """Generalised intersection over union `[...]`, -1..1: iou minus the share of the hull that neither covers."""
    intersection, union = _overlap(a, b)
    low, high = jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])
    hull = area(jnp.concatenate([low, high], axis=-1))
    return intersection / jnp.maximum(union, _EPSILON) - (hull - union) / jnp.maximum(hull, _EPSILON)


def l1(a: jax.Array, b: jax.Array) -> jax.Array:
    """Sum of absolute differences of centres and sizes `[...]`, as in DETR (Carion et al., 2020)."""
    distance = jnp.abs(to_centres(a) - to_centres(b))
    return sum(distance[..., i] for i in range(4))  # many times faster on a CPU than a sum over so short an axis


def pairwise(measure: Callable[[jax.Array, jax.Array], jax.Array], a: jax.Array, b: jax.Array) -> jax.Array:
    """`measure` of every box of `a` `[..., N, 4]` with every box of `b` `[..., M, 4]`: `[..., N, M]`."""
    return measure(a[..., :, None, :], b[..., None, :, :])


def tight(masks: jax.Array) -> jax.Array:
    """The smallest box `[..., 4]`, 0..1, around the true pixels of masks bool `[..., H, W]`; zeros if empty."""

    def span(line: jax.Array) -> tuple[jax.Array, jax.Array]:
        size = line.shape[-1]
        low, high = jnp.argmax(line, axis=-1), size - jnp.argmax(line[..., ::-1], axis=-1)
        return low / size, jnp.where(line.any(axis=-1), high, 0) / size

    (ymin, ymax), (xmin, xmax) = span(masks.any(axis=-1)), span(masks.any(axis=-2))
    return jnp.stack([ymin, xmin, ymax, xmax], axis=-1)


def _overlap(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    intersection = area(jnp.concatenate([low, high], axis=-1))
    return intersection, area(a) + area(b) - intersection
