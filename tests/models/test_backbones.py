"""Swin and the ViT pyramid under one contract; Swin's parts against plain ways to write them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.backbone import STRIDES
from unimedvlp.models.swin import Swin, WindowAttention, join_windows, split_windows
from unimedvlp.models.vit_pyramid import ViTPyramid

SWIN = Swin(width=8, depths=(2, 2, 2, 2), heads=(1, 2, 2, 4), window=4)
PYRAMID = ViTPyramid((64, 96), patch=16, width=16, depth=1, heads=2, mlp=32, pyramid=12)
IMAGE = jax.random.normal(jax.random.key(1), (2, 64, 96, 1))


def started(model):
    """Parameters drawn with NumPy, which compiles nothing."""
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), IMAGE))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(("model", "widths"), [(SWIN, (8, 16, 32, 64)), (PYRAMID, (12,) * 4)], ids=["swin", "vit"])
def test_maps_of_four_strides(model, widths):
    params = started(model)
    apply, order = jax.jit(model.apply), jnp.array([1, 0])
    maps = apply(params, IMAGE)
    assert [x.shape for x in maps] == [(2, 64 // s, 96 // s, d) for s, d in zip(STRIDES, widths, strict=True)]
    for x, y in zip(apply(params, IMAGE[order]), maps, strict=True):
        np.testing.assert_allclose(x, y[order], atol=1e-4)
    weights = [jax.random.normal(jax.random.key(2), x.shape) for x in maps]

    def loss(params):
        return sum((x * w).sum() for x, w in zip(model.apply(params, IMAGE), weights, strict=True))

    for path, grad in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(params)):
        name = jax.tree_util.keystr(path)
        if "['key']['bias']" not in name:  # softmax does not see what is added to all keys
            assert np.abs(grad).max() > 1e-6, name


@pytest.mark.parametrize("patch", [8, 32])
def test_a_pyramid_over_other_patches(patch):
    model = PYRAMID.clone(patch=patch)
    maps = jax.eval_shape(model.init_with_output, jax.random.key(0), IMAGE)[0]
    assert [x.shape[1:3] for x in maps] == [(64 // s, 96 // s) for s in STRIDES]


def test_windows_come_apart_and_together():
    x = jnp.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    windows = split_windows(x, 2)
    assert windows.shape == (2 * 2 * 3, 4, 3)
    np.testing.assert_array_equal(windows[1], x[0, :2, 2:4].reshape(4, 3))
    np.testing.assert_array_equal(join_windows(windows, x.shape, 2), x)


@pytest.mark.parametrize("shift", [0, 2])
def test_a_position_sees_its_window_alone(shift):
    attention = WindowAttention(4, 1, window=4, shift=shift)
    x = jax.random.normal(jax.random.key(0), (1, 12, 8, 4))
    params = nn.unbox(attention.init(jax.random.key(1), x))
    jacobian = jax.jit(jax.jacobian(lambda x: attention.apply(params, x).sum((0, 3))))(x)
    sees = np.abs(jacobian).sum((2, 5)) > 0  # [H, W, H, W]
    row, column = ((np.arange(size) + 4 - shift) // 4 for size in (12, 8))
    window = 10 * row[:, None] + column
    np.testing.assert_array_equal(sees, window[:, :, None, None] == window)


def test_the_bias_is_of_relative_positions():
    attention = WindowAttention(4, 1, window=3)
    image = jax.random.normal(jax.random.key(3), (1, 3, 3, 4))
    params = nn.unbox(attention.init(jax.random.key(1), image))
    weights = jax.random.normal(jax.random.key(2), (5, 5))
    params["params"]["relative"] = weights.reshape(25, 1)
    heads = params["params"]["heads"]
    heads = {**heads, "query": jax.tree.map(jnp.zeros_like, heads["query"])}  # only the bias tells keys apart
    out = attention.apply({"params": {**params["params"], "heads": heads}}, image)
    value = jnp.einsum("ijd,dhk->ijhk", image[0], heads["value"]["kernel"]) + heads["value"]["bias"]
    for i, j in ((0, 0), (1, 2)):
        around = weights[i + 2 - jnp.arange(3)[:, None], j + 2 - jnp.arange(3)]  # query minus key
        share = jax.nn.softmax(around.reshape(-1)).reshape(3, 3)
        seen = jnp.einsum("ij,ijhk->hk", share, value)
        expected = jnp.einsum("hk,hkd->d", seen, heads["out"]["kernel"]) + heads["out"]["bias"]
        np.testing.assert_allclose(out[0, i, j], expected, atol=1e-5)


def test_drop_path_leaves_out_whole_residuals():
    model = SWIN.clone(drop_path=1.0)
    params = started(model)
    maps = jax.jit(lambda p: model.apply(p, IMAGE, deterministic=False, rngs={"dropout": jax.random.key(0)}))(params)
    stem = {name: params["params"][name] for name in ("stem", "stem_norm", "norm_0")}
    x = jax.lax.conv_general_dilated(
        IMAGE,
        stem["stem"]["project"]["kernel"].reshape(4, 4, 1, 8),
        (4, 4),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x = x + stem["stem"]["project"]["bias"]
    for name in ("stem_norm", "norm_0"):
        x = nn.LayerNorm(1e-5).apply({"params": stem[name]}, x)
    np.testing.assert_allclose(maps[0], x, atol=1e-4)


def test_bad_sizes_and_fields():
    with pytest.raises(UserError, match=r"\(48, 64\) pixels is not a multiple of 32"):
        SWIN.init(jax.random.key(0), jnp.ones((1, 48, 64, 1)))
    with pytest.raises(UserError, match="give even depths"):
        SWIN.clone(depths=(2, 2, 3, 2)).init(jax.random.key(0), IMAGE)
    with pytest.raises(UserError, match="patch 12 does not suit a pyramid"):
        PYRAMID.clone(patch=12).init(jax.random.key(0), jnp.ones((1, 96, 96, 1)))
