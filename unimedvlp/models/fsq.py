"""Finite scalar quantisation (Mentzer et al., 2023): a few numbers, each rounded to one of a few levels, are a code.

There is no codebook to learn and none that could collapse: with `levels` (8, 5, 5, 5) there are 8 * 5 * 5 * 5 = 1,000 codes,
all of them points of a grid.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

Levels = tuple[int, ...]
_EPS = 1e-3  # puts the outermost levels within reach of tanh


def size(levels: Levels) -> int:
    """How many codes there are."""
    return math.prod(levels)


def bound(z: jax.Array, levels: Levels) -> jax.Array:
    """Any z [..., d] squashed so that rounding gives exactly `levels` values in each of the d dimensions."""
    count = np.asarray(levels)
    half = (count - 1) * (1 + _EPS) / 2
    offset = np.where(count % 2, 0.0, 0.5)
    return jnp.tanh(z + np.arctanh(offset / half)) * half - offset


def quantize(z: jax.Array, levels: Levels) -> jax.Array:
    """z [..., d] -> points of the grid, each dimension in -1..1; the gradient is that of `bound`, as if nothing were rounded."""
    bounded = bound(z, levels)
    rounded = bounded + jax.lax.stop_gradient(jnp.round(bounded) - bounded)
    return rounded / _half(levels)


def to_codes(points: jax.Array, levels: Levels) -> jax.Array:
    """Points of the grid [..., d] as codes int32 [...] in 0..size - 1."""
    digits = jnp.round(points * _half(levels)).astype(jnp.int32) + _half(levels)
    return (digits * _basis(levels)).sum(-1)


def to_points(codes: jax.Array, levels: Levels) -> jax.Array:
    """The inverse of `to_codes`: codes int [...] -> points float32 [..., d]."""
    digits = codes[..., None] // _basis(levels) % np.asarray(levels, np.int32)
    return (digits - _half(levels)).astype(jnp.float32) / _half(levels)


def _half(levels: Levels) -> np.ndarray:
    return np.asarray(levels, np.int32) // 2


def _basis(levels: Levels) -> np.ndarray:
    """What each dimension's digit counts: 1, L1, L1 * L2, ..."""
    return np.cumprod([1, *levels[:-1]]).astype(np.int32)
