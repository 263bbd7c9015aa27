import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.attention import attention, causal_mask, padding_mask, segment_mask

B, T, S, H, D = 2, 4, 6, 3, 8


@pytest.fixture
def qkv():
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=(B, n, H, D)), jnp.float32) for n in (T, S, S))


def plain(q, k, v, mask):
    """Softmax attention in float64 with loops; zeros where nothing is seen."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    mask = np.broadcast_to(mask, (B, H, q.shape[1], k.shape[1]))
    out = np.zeros(q.shape)
    for b, h, t in np.ndindex(B, H, q.shape[1]):
        seen = np.flatnonzero(mask[b, h, t])
        if len(seen):
            weights = np.exp(k[b, seen, h] @ q[b, t, h] / np.sqrt(D))
            out[b, t, h] = weights / weights.sum() @ v[b, seen, h]
    return out


def test_equals_plain_softmax(qkv):
    mask = np.random.default_rng(1).random((B, H, T, S)) < 0.5
    mask[0, :, 2] = False
    out = attention(*qkv, mask=jnp.asarray(mask))
    np.testing.assert_allclose(out, plain(*qkv, mask), atol=1e-5)
    np.testing.assert_array_equal(out[0, 2], 0)
    np.testing.assert_allclose(attention(*qkv), plain(*qkv, np.ones((1, 1, 1, 1), bool)), atol=1e-5)


def test_float32_equals_jax(qkv):
    rng = np.random.default_rng(2)
    bias, mask = jnp.asarray(rng.normal(size=(1, H, T, S)), jnp.float32), jnp.asarray(rng.random((B, 1, T, S)) < 0.7)
    mask = mask.at[..., 0].set(True)
    for given in ({}, {"mask": mask}, {"bias": bias}, {"mask": mask, "bias": bias}):
        ours, theirs = (
            jax.value_and_grad(lambda x, f=f, given=given: jnp.square(f(*x, **given)).sum())(qkv)
            for f in (attention, jax.nn.dot_product_attention)
        )
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_masks_combine(qkv):
    _, k, v = qkv
    keys = jnp.array([[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1]], bool)
    segments = jnp.array([[0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]])
    mask = causal_mask(S) & padding_mask(keys) & segment_mask(segments)
    expected = np.zeros((B, 1, S, S), bool)
    for b, t, s in np.ndindex(B, S, S):
        expected[b, 0, t, s] = s <= t and keys[b, s] and segments[b, s] == segments[b, t]
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_allclose(attention(k, k, v, mask=mask), plain(k, k, v, expected), atol=1e-5)


def test_gradient_is_finite_where_nothing_is_seen(qkv):
    grads = jax.grad(lambda x: attention(*x, mask=jnp.zeros((B, 1, 1, S), bool)).sum())(qkv)
    assert all(np.isfinite(g).all() for g in grads)


def test_softmax_is_float32_under_bfloat16(qkv):
    half = tuple(x.astype(jnp.bfloat16) for x in qkv)
    out = attention(*half)
    assert out.dtype == jnp.bfloat16
    exact = plain(*(x.astype(jnp.float32) for x in half), np.ones((1, 1, 1, 1), bool))
    np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.02)
    exponentials = re.findall(r"(\w+)\[[\d,]*\] = exp ", str(jax.make_jaxpr(attention)(*half)))
    assert exponentials and set(exponentials) == {"f32"}


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN attention needs an NVIDIA GPU")
def test_cudnn_equals_xla():
    q, k, v = (jax.random.normal(jax.random.key(i), (2, 64, 4, 64), jnp.bfloat16) for i in range(3))
    mask = causal_mask(64) & padding_mask(jnp.arange(64) < jnp.array([[64], [40]]))
    out = attention(q, k, v, mask=mask, implementation="cudnn")
    expected = attention(q, k, v, mask=mask)
    np.testing.assert_allclose(out.astype(jnp.float32), expected.astype(jnp.float32), atol=0.02)


def test_unknown_implementation_names_the_known(qkv):
    with pytest.raises(UserError, match=r"'flash' is unknown.*xla.*cudnn"):
        attention(*qkv, implementation="flash")
