"""Co-attention and the decoder of masked patches."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.models.co_attention import CoAttention
from unimedvlp.models.patch_decoder import PatchDecoder
from unimedvlp.objectives.masked import random_patches

IMAGE, TEXT = (jax.random.normal(jax.random.key(i), (2, n, 16)) for i, n in ((1, 5), (2, 4)))
IMAGE_MASK, TEXT_MASK = jnp.arange(5) < jnp.array([[5], [3]]), jnp.arange(4) < jnp.array([[2], [4]])


@pytest.fixture(scope="module")
def fusion():
    model = CoAttention(16, 2, 32, depth=3)
    params = nn.unbox(jax.jit(model.init)(jax.random.key(0), IMAGE, IMAGE_MASK, TEXT, TEXT_MASK))
    return params, jax.jit(lambda *args: model.apply(params, *args))


def test_halves_of_the_layers_and_shapes(fusion):
    params, apply = fusion
    depth = {
        name: params["params"][name]["block"]["image"]["attention_norm"]["scale"].shape[0]
        for name in ("lower", "upper")
    }
    assert depth == {"lower": 1, "upper": 2}
    assert [x.shape for x in apply(IMAGE, IMAGE_MASK, TEXT, TEXT_MASK)] == [(2, 5, 16), (2, 4, 16), (2, 5, 16)]


def test_each_stream_reads_the_other_one_but_no_padding(fusion):
    _, apply = fusion
    image, text, _ = apply(IMAGE, IMAGE_MASK, TEXT, TEXT_MASK)
    other = apply(IMAGE, IMAGE_MASK, jnp.where(TEXT_MASK[..., None], TEXT, 5.0), TEXT_MASK)
    np.testing.assert_allclose(other[0], image, atol=1e-5)
    np.testing.assert_allclose(other[1][TEXT_MASK], text[TEXT_MASK], atol=1e-5)
    assert np.abs(apply(IMAGE, IMAGE_MASK, TEXT[::-1], TEXT_MASK)[0] - image).max() > 1e-3
    assert np.abs(apply(IMAGE[::-1], IMAGE_MASK, TEXT, TEXT_MASK)[1] - text).max() > 1e-3


def test_tokens_of_a_stream_stay_apart():
    """Even where all tokens read the same from both streams, as those of a young network do."""
    model, keys = CoAttention(16, 2, 32, depth=6), jax.random.split(jax.random.key(3), 2)
    image, text = (jax.random.normal(key, (2, 8, 16)) for key in keys)
    mask = jnp.ones((2, 8), bool)
    params = nn.unbox(jax.jit(model.init)(jax.random.key(0), image, mask, text, mask))

    def common(path, x):
        return jnp.zeros_like(x) if {"query", "key"} & {key.key for key in path} else x

    streams = model.apply(jax.tree_util.tree_map_with_path(common, params), image, mask, text, mask)
    for stream in streams:
        assert stream.std(axis=1).mean() > 0.25


def test_patches_are_put_back_in_their_places():
    model = PatchDecoder((2, 3), 4, width=8, depth=1, heads=2)
    keep, restore, hidden = random_patches(jax.random.key(0), 2, 6, 0.5)
    tokens = jax.random.normal(jax.random.key(1), (2, 6, 16))
    visible = jnp.take_along_axis(tokens, keep[..., None], axis=1)
    params = model.init(jax.random.key(2), visible, restore)
    pixels = model.apply(params, visible, restore)
    assert pixels.shape == (2, 6, 4) and pixels.dtype == jnp.float32 and np.abs(pixels).max() < 0.5
    order = jnp.array([2, 0, 1])  # the same patches handed over in another order are the same picture
    turned = jnp.where(restore < 3, jnp.argsort(order)[jnp.minimum(restore, 2)], restore)
    np.testing.assert_allclose(model.apply(params, visible[:, order], turned), pixels, atol=1e-5)
    assert hidden.sum() == 6
