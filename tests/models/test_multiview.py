import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.multiview import MultiView
from unimedvlp.models.vit import ViT


@pytest.fixture(scope="module")
def views():
    model = MultiView(ViT((16, 16), 8, 16, 1, 2, 32, parent=None), views=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    image = jax.random.randint(jax.random.key(0), (2, 3, 16, 16, 3), 0, 256).astype(jnp.uint8)
    mask = jnp.array([[1, 1, 0], [1, 0, 1]], bool)
    return model, nn.unbox(jax.jit(model.init)(jax.random.key(1), image, mask)), jax.jit(model.apply), image, mask


def test_shapes_and_mask(views):
    _, params, apply, image, mask = views
    tokens, token_mask = apply(params, image, mask)
    assert tokens.shape == (2, 15, 16) and token_mask.shape == (2, 15)
    np.testing.assert_array_equal(token_mask, np.repeat(mask, 5, axis=1))


def test_each_view_is_encoded_alone_and_normalised(views):
    model, params, apply, image, mask = views
    tokens, _ = apply(params, image, mask)
    pixels = (np.asarray(image[:, 1], np.float32) / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]
    alone = jax.jit(model.encoder.apply)({"params": params["params"]["encoder"]}, pixels) + params["params"]["view"][1]
    np.testing.assert_allclose(tokens[0, 5:10], alone[0], atol=1e-4)


def test_absent_views_say_nothing(views):
    _, params, apply, image, mask = views
    other = jnp.where(mask[:, :, None, None, None], image, 255 - image)
    for a, b in zip(apply(params, image, mask), apply(params, other, mask), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fewer_views_than_made_for_but_not_more(views):
    _, params, apply, image, mask = views
    tokens, _ = apply(params, image, mask)
    fewer, _ = apply(params, image[:, :2], mask[:, :2])
    np.testing.assert_allclose(fewer, tokens[:, :10], atol=1e-5)
    with pytest.raises(UserError, match="4 views, the model was made for 3"):
        apply(params, jnp.repeat(image, 2, 1)[:, :4], jnp.ones((2, 4), bool))


def test_per_image_takes_away_exposure():
    model = MultiView(ViT((16, 16), 8, 16, 1, 2, 32, parent=None), views=2, per_image=True)
    image = jax.random.randint(jax.random.key(0), (2, 2, 16, 16, 1), 20, 90).astype(jnp.uint8)
    mask = jnp.ones((2, 2), bool)
    params = model.init(jax.random.key(1), image, mask)
    plain, brighter = (model.apply(params, x, mask)[0] for x in (image, 2 * image + 40))
    np.testing.assert_allclose(plain, brighter, atol=2e-3)
    pixels = model.apply(params, image, method=MultiView.pixels)
    np.testing.assert_allclose([pixels.mean((1, 2, 3)), pixels.std((1, 2, 3))], [[0] * 4, [1] * 4], atol=1e-2)
