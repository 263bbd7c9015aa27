"""Mask losses on sampled points (PointRend, Kirillov et al., 2020; Mask2Former, Cheng et al., 2022) and on projections.

Points are `(y, x)` in 0..1 of the map, whatever its size, so predictions and annotations of other sizes meet at them.
"""

import jax
import jax.numpy as jnp
import optax


def sample_points(maps: jax.Array, points: jax.Array) -> jax.Array:
    """Bilinear values `[..., P, C]` float32 of maps `[..., C, H, W]` at points `[..., P, 2]`.

    Pixel (i, j) has its centre at ((i + 0.5) / H, (j + 0.5) / W); outside the outermost centres the border continues.
    Points come first, so that what C maps have at a place is read at once.
    """
    height, width = maps.shape[-2:]
    flat = jnp.swapaxes(maps.reshape(*maps.shape[:-2], height * width), -1, -2)
    y, x = points[..., 0] * height - 0.5, points[..., 1] * width - 0.5
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]

    def at(row: jax.Array, column: jax.Array) -> jax.Array:
        row, column = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
        index = (row * width + column).astype(jnp.int32)
        return jnp.take_along_axis(flat, index[..., None], axis=-2, mode="clip").astype(jnp.float32)

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def uncertain_points(
    rng: jax.Array, logits: jax.Array, count: int, *, oversample: float = 3.0, important: float = 0.75
) -> jax.Array:
    """Points `[..., count, 2]` where mask logits `[..., H, W]` are near 0, each map its own; no gradient flows.

    Of `count * oversample` uniform points the most uncertain `important * count` are kept; the rest are uniform.
    """
    many, keep = int(count * oversample), int(count * important)
    first, second = jax.random.split(rng)
    lead = logits.shape[:-2]
    candidates = jax.random.uniform(first, (*lead, many, 2))
    values = sample_points(jax.lax.stop_gradient(logits)[..., None, :, :], candidates)[..., 0]
    _, chosen = jax.lax.top_k(-jnp.abs(values), keep)
    chosen = jnp.take_along_axis(candidates, chosen[..., None], axis=-2)
    return jnp.concatenate([chosen, jax.random.uniform(second, (*lead, count - keep, 2))], axis=-2)


def point_bce(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Binary cross-entropy `[...]`, mean over points of logits and targets `[..., P]` (0..1). ln 2 for logits of 0."""
    return optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), targets).mean(axis=-1)


def dice(probabilities: jax.Array, targets: jax.Array) -> jax.Array:
    """1 - (2 sum pg + 1) / (sum p + sum g + 1), `[...]`, over the last axis of probabilities and targets `[..., P]`."""
    overlap = (probabilities * targets).sum(axis=-1)
    return 1 - (2 * overlap + 1) / (probabilities.sum(axis=-1) + targets.sum(axis=-1) + 1)


def focal(logits: jax.Array, targets: jax.Array, *, alpha: float = 0.25, gamma: float = 2.0) -> jax.Array:
    """Focal loss (Lin et al., 2017) `[...]`, mean over the last axis of logits and targets `[..., P]` (0 or 1)."""
    return optax.sigmoid_focal_loss(logits.astype(jnp.float32), targets, alpha=alpha, gamma=gamma).mean(axis=-1)


def pairwise_bce(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """`point_bce` of every prediction `[B, P, Q]` with every target `[B, P, K]`: `[B, Q, K]`, by one product."""
    logits, points = logits.astype(jnp.float32), logits.shape[1]
    softplus = jnp.maximum(logits, 0) + jnp.log(1 + jnp.exp(-jnp.abs(logits)))  # jax.nn's takes five times as long
    return (softplus.sum(axis=1)[:, :, None] - _meet(logits, targets)) / points


def pairwise_dice(probabilities: jax.Array, targets: jax.Array) -> jax.Array:
    """`dice` of every prediction `[B, P, Q]` with every target `[B, P, K]`: `[B, Q, K]`."""
    total = probabilities.sum(axis=1)[:, :, None] + targets.sum(axis=1)[:, None, :]
    return 1 - (2 * _meet(probabilities, targets) + 1) / (total + 1)


def mask_profiles(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest probability of every row `[..., H]` and of every column `[..., W]` of mask logits `[..., H, W]`."""
    logits = logits.astype(jnp.float32)
    return jax.nn.sigmoid(logits.max(axis=-1)), jax.nn.sigmoid(logits.max(axis=-2))


def box_profiles(boxes: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """The share of every row `[..., H]` and column `[..., W]` that boxes `[..., 4]` (corners, 0..1) cover, 0..1."""

    def cover(low: jax.Array, high: jax.Array, size: int) -> jax.Array:
        edge = jnp.arange(size)
        inside = jnp.minimum(high[..., None] * size, edge + 1) - jnp.maximum(low[..., None] * size, edge)
        return jnp.clip(inside, 0, 1)

    return cover(boxes[..., 0], boxes[..., 2], height), cover(boxes[..., 1], boxes[..., 3], width)


def projection(logits: jax.Array, boxes: jax.Array) -> jax.Array:
    """Supervision of masks by boxes alone `[...]`: dice of both profiles of mask logits `[..., H, W]` with the box's.

    After the projection term of BoxInst (Tian et al., 2021), with this house's `dice`; our reconstruction of how UniMed
    may use box-only data. 0 for a mask that fills its box.
    """
    rows, columns = mask_profiles(logits)
    box_rows, box_columns = box_profiles(boxes, *logits.shape[-2:])
    return dice(rows, box_rows) + dice(columns, box_columns)


def pairwise_projection(logits: jax.Array, boxes: jax.Array) -> jax.Array:
    """`projection` of every mask `[B, Q, H, W]` with every box `[B, K, 4]`: `[B, Q, K]`."""
    pairs = zip(mask_profiles(logits), box_profiles(boxes, *logits.shape[-2:]), strict=True)
    return sum(pairwise_dice(mask.swapaxes(1, 2), box.swapaxes(1, 2)) for mask, box in pairs)


def _meet(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum("bpq,bpk->bqk", a, b, precision="highest", preferred_element_type=jnp.float32)
