import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.vit import PatchStem, ViT, resize_positions


def vit(**kwargs) -> ViT:
    return ViT(**{"image_size": (16, 24), "patch": 8, "width": 16, "depth": 2, "heads": 2, "mlp": 32, **kwargs})


@pytest.mark.parametrize("stem", ["patch", "conv", "residual"])
def test_tokens_and_gradients(stem):
    image = jax.random.normal(jax.random.key(1), (2, 16, 24, 3))
    model = vit(stem=stem)
    params = nn.unbox(jax.jit(model.init)(jax.random.key(0), image))
    weights = jax.random.normal(jax.random.key(2), (2, 7, 16))
    value, grads = jax.jit(jax.value_and_grad(lambda p: (model.apply(p, image) * weights).sum()))(params)
    assert np.isfinite(value) and jax.eval_shape(model.apply, params, image).shape == (2, 7, 16)
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        name = jax.tree_util.keystr(path)
        if "['key']['bias']" not in name:  # softmax does not see what is added to all keys
            assert np.abs(grad).max() > 1e-6, name


def test_patch_stem_equals_a_strided_convolution():
    image = jax.random.normal(jax.random.key(1), (2, 16, 24, 3))
    params = nn.unbox(PatchStem(8, 16).init(jax.random.key(0), image))
    project = params["params"]["project"]
    conv = {"params": {"kernel": project["kernel"].reshape(8, 8, 3, 16), "bias": project["bias"]}}
    expected = nn.Conv(16, (8, 8), 8, "VALID").apply(conv, image)
    np.testing.assert_allclose(PatchStem(8, 16).apply(params, image), expected, atol=1e-5)


def test_batch_order_carries_over():
    image = jax.random.normal(jax.random.key(1), (3, 16, 24, 1))
    model = vit(stem="conv")
    params = nn.unbox(jax.jit(model.init)(jax.random.key(0), image))
    order, apply = jnp.array([2, 0, 1]), jax.jit(model.apply)
    np.testing.assert_allclose(apply(params, image[order]), apply(params, image)[order], atol=1e-5)


def test_positions_are_interpolated_for_another_size():
    rows, columns = jnp.meshgrid(jnp.arange(2.0), jnp.arange(3.0), indexing="ij")
    stored = jnp.stack([rows, columns], axis=-1)  # a grid that holds its own coordinates
    rows, columns = jnp.meshgrid(
        jnp.array([0, 0.25, 0.75, 1]), jnp.array([0, 0.25, 0.75, 1.25, 1.75, 2]), indexing="ij"
    )
    np.testing.assert_allclose(resize_positions(stored, (4, 6)), jnp.stack([rows, columns], axis=-1), atol=1e-6)
    assert resize_positions(stored, (2, 3)) is stored
    params = jax.eval_shape(vit().init, jax.random.key(0), jnp.ones((1, 16, 24, 1)))
    assert jax.eval_shape(vit().apply, params, jnp.ones((1, 32, 48, 1))).shape == (1, 1 + 4 * 6, 16)


def test_bad_sizes_and_stems():
    with pytest.raises(UserError, match=r"\(20, 24\) pixels is not a multiple of patch 8"):
        vit().init(jax.random.key(0), jnp.ones((1, 20, 24, 1)))
    with pytest.raises(UserError, match="stem 'swin' is unknown"):
        vit(stem="swin").init(jax.random.key(0), jnp.ones((1, 16, 24, 1)))
    with pytest.raises(UserError, match="power of two"):
        vit(stem="conv", patch=12, image_size=(24, 24)).init(jax.random.key(0), jnp.ones((1, 24, 24, 1)))
