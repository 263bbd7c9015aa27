import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.layers import token_table
from unimedvlp.models.text_encoder import TextEncoder

SIZES = {"vocab": 13, "width": 16, "depth": 2, "heads": 2, "mlp": 32, "max_length": 8}


@pytest.fixture(scope="module", params=[True, False], ids=["pre", "post"])
def text(request):
    model = TextEncoder(**SIZES, pre_norm=request.param)
    ids = jax.random.randint(jax.random.key(0), (3, 6), 1, 13)
    mask = jnp.arange(6) < jnp.array([[6], [4], [1]])
    return jax.jit(model.apply), nn.unbox(jax.jit(model.init)(jax.random.key(1), ids, mask)), ids, mask


def test_pads_say_nothing(text):
    apply, params, ids, mask = text
    out = apply(params, ids, mask)
    assert out.shape == (3, 6, 16)
    other = apply(params, jnp.where(mask, ids, 12 - ids), mask)
    np.testing.assert_allclose(other[mask], out[mask], atol=1e-5)
    shorter = apply(params, ids[:, :4], mask[:, :4])
    np.testing.assert_allclose(shorter[1], out[1, :4], atol=1e-5)


def test_looks_both_ways(text):
    apply, params, ids, mask = text
    change = apply(params, ids.at[0, 3].add(-1), mask) - apply(params, ids, mask)
    assert (np.abs(change[0]).max(-1) > 1e-4).all()
    np.testing.assert_array_equal(change[1:], 0)


def test_batch_order_carries_over(text):
    apply, params, ids, mask = text
    order = jnp.array([1, 2, 0])
    out = apply(params, ids, mask)
    np.testing.assert_allclose(apply(params, ids[order], mask[order]), out[order], atol=1e-5)


def test_too_long_a_text_is_refused(text):
    apply, params, _, _ = text
    with pytest.raises(UserError, match=r"9 tokens.*made for 8"):
        apply(params, jnp.ones((1, 9), jnp.int32), jnp.ones((1, 9), bool))


class Tied(nn.Module):
    def setup(self):
        self.table = token_table(13, 16)
        self.encoder = TextEncoder(**SIZES, table=self.table)
        self.decoder = ComposedDecoder(**SIZES, table=self.table)

    def __call__(self, ids, mask):
        return self.decoder(ids, mask, self.encoder(ids, mask), mask)


def test_encoder_and_decoder_share_one_table():
    ids, mask = jax.random.randint(jax.random.key(0), (2, 6), 1, 13), jnp.ones((2, 6), bool)
    params = nn.unbox(jax.jit(Tied().init)(jax.random.key(0), ids, mask))["params"]
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    assert [name for name in names if "embedding']" in name] == ["['table']['embedding']"]

    def loss(params):
        return -jax.nn.log_softmax(Tied().apply({"params": params}, ids, mask))[:, :, 3].mean()

    value, grads = jax.jit(jax.value_and_grad(loss))(params)
    np.testing.assert_allclose(value, np.log(13), atol=0.1)
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        name = jax.tree_util.keystr(path)
        if "['key']['bias']" not in name:  # softmax does not see what is added to all keys
            assert np.abs(grad).max() > 1e-8, name
