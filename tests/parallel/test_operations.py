"""The operations written anew for the partitioner are the ones they replace."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from unimedvlp.parallel.operations import Conv, ConvTranspose, Embed, pick

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3, 7), (3, 7, 4), (3, 7, 2, 2)])
def test_pick_is_a_clipped_gather(shape):
    x, index = RNG.normal(size=shape).astype(np.float32), RNG.integers(0, 9, (3, 5))
    expected = np.take_along_axis(x, np.minimum(index, 6).reshape(3, 5, *[1] * (len(shape) - 2)), axis=1)
    np.testing.assert_array_equal(pick(x, index), expected)


@pytest.mark.parametrize(("ours", "flax"), [(Conv, nn.Conv), (ConvTranspose, nn.ConvTranspose)])
def test_convolutions_are_flax_s(ours, flax):
    x = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    params = flax(4, (3, 3)).init(jax.random.key(0), x)
    np.testing.assert_array_equal(ours(4, (3, 3)).apply(params, x), flax(4, (3, 3)).apply(params, x))
    assert jax.tree.structure(ours(4, (3, 3)).init(jax.random.key(0), x)) == jax.tree.structure(params)


def test_embedding_is_flax_s():
    ids = RNG.integers(0, 9, (2, 5))
    params = nn.Embed(9, 4).init(jax.random.key(0), ids)
    np.testing.assert_array_equal(Embed(9, 4).apply(params, ids), nn.Embed(9, 4).apply(params, ids))
