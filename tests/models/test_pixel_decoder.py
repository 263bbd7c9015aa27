"""Pixel decoder and convolutional pyramid: shapes, gradients, and that the finest map sees the coarsest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import meta

from unimedvlp.errors import UserError
from unimedvlp.models.conv_pyramid import ConvPyramid
from unimedvlp.models.pixel_decoder import PixelDecoder, upsample
from unimedvlp.models.places import grid_points, sine_code

RNG = np.random.default_rng(0)
MAPS = [jnp.asarray(RNG.normal(size=(2, 16 >> i, 16 >> i, 8 << i)), jnp.float32) for i in range(4)]


def test_maps_become_memory_and_mask_features():
    module = PixelDecoder(width=16, heads=2, mlp=32, depth=2)
    params = meta.unbox(module.init(jax.random.key(0), MAPS))
    apply = jax.jit(module.apply)
    memory, features = apply(params, MAPS)
    assert [m.shape for m in memory] == [(2, 2, 2, 16), (2, 4, 4, 16), (2, 8, 8, 16)]
    assert features.shape == (2, 16, 16, 16)
    finer, same = PixelDecoder(width=16, heads=2, mlp=32, depth=2, fine=True).apply(params, MAPS)
    assert [m.shape for m in finer] == [(2, 4, 4, 16), (2, 8, 8, 16), (2, 16, 16, 16)]
    np.testing.assert_allclose(finer[0], memory[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(same, features, rtol=1e-5, atol=1e-5)
    changed = apply(params, [*MAPS[:3], MAPS[3].at[:, 0, 0].add(3.0)])[1]
    assert np.abs(changed - features).max() > 1e-3
    grads = jax.grad(lambda p: jnp.square(module.apply(p, MAPS)[1]).sum())(params)
    dead = [path for path, g in jax.tree.leaves_with_path(grads) if not np.any(np.asarray(g))]
    assert dead == []


def test_conv_pyramid_has_four_strides():
    module = ConvPyramid(widths=(32, 32, 48, 64))
    image = jnp.zeros((1, 64, 96, 3))
    maps = module.init_with_output(jax.random.key(0), image)[0]
    assert [m.shape for m in maps] == [(1, 16, 24, 32), (1, 8, 12, 32), (1, 4, 6, 48), (1, 2, 3, 64)]
    with pytest.raises(UserError, match="multiple of 32"):
        module.init(jax.random.key(0), image[:, :50])


def test_upsample_repeats_neighbours():
    x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(upsample(x, (4, 2))[0, :, :, 0], [[0, 1], [0, 1], [2, 3], [2, 3]])


def test_codes_of_the_same_place_agree_between_resolutions():
    coarse, fine = grid_points(1, 1), grid_points(3, 3)
    np.testing.assert_allclose(fine[4], coarse[0])
    np.testing.assert_allclose(sine_code(fine, 16)[4], sine_code(coarse, 16)[0], rtol=1e-6)
    codes = np.asarray(sine_code(grid_points(8, 8), 32))
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    assert apart[~np.eye(64, dtype=bool)].min() > 0.05
