"""Splash attention equals plain attention; on CPUs in interpret mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.models.attention import attention, causal_mask, padding_mask, segment_mask
from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.splash import Causal, splash_attention

INTERPRET = jax.default_backend() != "tpu"
B, T, S, H, D = 2, 130, 20, 2, 32


def arrays(length, keys, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=(B, n, H, D)), dtype) for n in (length, keys, keys))


def both(qkv, mask, dense):
    """(ours, plain), each (values, gradients of a random sum over the rows that see something)."""
    weight = jnp.asarray(np.random.default_rng(1).normal(size=qkv[0].shape), jnp.float32)

    def value(out):
        return (out.astype(jnp.float32) * weight).sum(), out

    ours = jax.jit(jax.grad(lambda x: value(splash_attention(*x, mask, interpret=INTERPRET)), has_aux=True))
    plain = jax.jit(jax.grad(lambda x: value(attention(*x, mask=dense)), has_aux=True))
    return ours(qkv), plain(qkv)


def agree(pair, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), *pair)


def test_lengths_that_are_no_multiple_of_128_and_masked_keys():
    keys = padding_mask(jnp.arange(S) < jnp.array([[13], [0]]))
    pair = both(arrays(T, S), keys, keys)
    agree(pair, 2e-5)
    np.testing.assert_array_equal(pair[0][1][1], 0, "the second row has no key at all")


def test_packed_causal_sequences():
    ids = jnp.array([[1] * 50 + [2] * 60 + [0] * 20, [1] * 130], jnp.int32)
    dense = causal_mask(T) & padding_mask(ids > 0) & segment_mask(ids)
    agree(both(arrays(T, T), Causal(ids), dense), 2e-5)


@pytest.mark.skipif(INTERPRET, reason="the compiled kernel needs a TPU")
def test_compiled_kernel_in_bfloat16():
    agree(both(arrays(1024, 1024, jnp.bfloat16), None, None), 0.05)


@pytest.mark.parametrize("options", [{"mask": causal_mask(4)}, {"bias": jnp.ones((1, 1, 4, 4))}])
def test_what_it_does_not_know_is_left_to_xla(options):
    qkv = arrays(4, 4)
    np.testing.assert_array_equal(attention(*qkv, **options, implementation="splash"), attention(*qkv, **options))
    one = (qkv[0][:, :1], *qkv[1:])
    np.testing.assert_array_equal(attention(*one, implementation="splash"), attention(*one))


def test_decoder_gives_it_what_it_gives_plain_attention(monkeypatch):
    monkeypatch.setattr("unimedvlp.models.attention.splash_attention", lambda *x: splash_attention(*x, interpret=True))
    ids, memory = jnp.arange(12, dtype=jnp.int32).reshape(2, 6), jnp.ones((2, 3, 16))
    segments = jnp.array([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    mask, memory_mask = segments > 0, jnp.array([[1, 1, 0], [1, 1, 1]], bool)

    def states(name):
        model = ComposedDecoder(12, 16, depth=1, heads=2, mlp=16, max_length=6, implementation=name)
        args = (ids, mask, memory, memory_mask)
        return jax.jit(lambda: model.init_with_output(jax.random.key(0), *args, segment_ids=segments)[0])()

    np.testing.assert_allclose(states("splash")[mask], states("xla")[mask], atol=1e-5)
