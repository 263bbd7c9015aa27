"""Finite scalar quantisation: codes and points are inverse, the grid is used to its edges, gradients pass through."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.models import fsq

LEVELS = [(8, 5, 5, 5), (8, 8, 8), (2, 3), (4, 7, 6)]


@pytest.mark.parametrize("levels", LEVELS)
def test_codes_and_points_are_inverse(levels):
    codes = jnp.arange(fsq.size(levels))
    points = fsq.to_points(codes, levels)
    np.testing.assert_array_equal(fsq.to_codes(points, levels), codes)
    grid = itertools.product(*[(np.arange(count) - count // 2) / (count // 2) for count in reversed(levels)])
    np.testing.assert_allclose(np.asarray(points)[:, ::-1], list(grid), atol=1e-6)  # the first dimension counts fastest


@pytest.mark.parametrize("levels", LEVELS)
def test_every_level_is_reached_and_no_other(levels):
    z = jnp.linspace(-20, 20, 20001)[:, None] * jnp.ones(len(levels))
    points = np.asarray(fsq.quantize(z, levels))
    for column, count in zip(points.T, levels, strict=True):
        np.testing.assert_allclose(np.unique(column), (np.arange(count) - count // 2) / (count // 2), atol=1e-6)
    assert (np.diff(points, axis=0) >= 0).all()
    middle = np.asarray(fsq.quantize(jnp.zeros((1, len(levels))), levels))
    np.testing.assert_allclose(middle, 0, atol=1e-6)  # the centre of the grid lies at 0


def test_rounding_does_not_stop_the_gradient():
    levels, z = (8, 5), jnp.array([[0.3, -1.2], [2.0, 0.0]])
    weights = jnp.array([[1.0, -2.0], [0.5, 3.0]])
    through = jax.grad(lambda z: (fsq.quantize(z, levels) * weights).sum())(z)
    smooth = jax.grad(lambda z: (fsq.bound(z, levels) / jnp.array([4, 2]) * weights).sum())(z)
    np.testing.assert_allclose(through, smooth, rtol=1e-6)
    assert (jnp.abs(through) > 1e-3).all()
