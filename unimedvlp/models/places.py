"""Places in an image: sine codes, the same for every resolution, so that queries and maps of all strides can be compared, and
deciding on a coordinate token."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.layers import EMBEDDING

SPREAD = 0.1  # of the entries of coordinate tokens at the start: likeness that a few steps do not wash out
NEAR = 0.03  # of the image: how far from a coordinate others still speak for it, by validation images of lungs


def sine_code(values: jax.Array, width: int, temperature: float = 10_000.0) -> jax.Array:
    """Sines and cosines `[..., width]` of n coordinates `[..., n]` in 0..1, width / n numbers each (DETR, Carion et al., 2020).

    `width` must be a multiple of 2 n.
    """
    count = width // values.shape[-1] // 2
    frequencies = 2 * jnp.pi * temperature ** (-jnp.arange(count) / count)
    angles = values.astype(jnp.float32)[..., None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(*values.shape[:-1], width)


def grid_points(height: int, width: int) -> jax.Array:
    """Centres `[height * width, 2]` (y, x) in 0..1 of the cells of a map, row by row."""
    y, x = (jnp.arange(height) + 0.5) / height, (jnp.arange(width) + 0.5) / width
    return jnp.stack(jnp.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


def coordinate_rows(start: int, count: int) -> nn.initializers.Initializer:
    """Initial token vectors `[vocab, D]` of which `count` rows from `start` on are sine codes of 0..1.

    Neighbouring coordinates are alike from the start, which lowers the loss of the first steps. Our reconstruction.
    """

    def init(rng: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
        codes = sine_code(jnp.linspace(0, 1, count)[:, None], shape[1]) * SPREAD * 2**0.5
        return EMBEDDING(rng, shape, dtype).at[start : start + count].set(codes.astype(dtype))

    return init


def decided(logits: jax.Array, start: int, count: int) -> jax.Array:
    """Logits `[..., V]` to choose by: each of the `count` coordinates from `start` on by how likely something near it is, all of
    them together as likely as before.

    The likeliest coordinate is a bad decision: a border of the image is one token, while what is known of any other edge is
    spread over tens of them. Our reconstruction.
    """
    own = logits[..., start : start + count]
    bins = jnp.linspace(0, 1, count)
    near = jax.nn.softmax(own) @ jnp.exp(-jnp.abs(bins[:, None] - bins) / NEAR)
    total = jax.nn.logsumexp(own, axis=-1, keepdims=True) - jnp.log(near.sum(-1, keepdims=True))
    return logits.at[..., start : start + count].set(total + jnp.log(near))
