"""A tiny decoder, shared by the decoder's and the generation's tests."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from unimedvlp.models.composed_decoder import ComposedDecoder

WIDTH, MEMORY = 16, 5


@partial(jax.jit, static_argnames=("model", "method", "length"))
def apply(model, method, params, *args, length=None, **kwargs):
    kwargs |= {} if length is None else {"length": length}
    return model.apply({"params": params}, *args, method=method, **kwargs)


class Decoder(NamedTuple):
    model: ComposedDecoder
    params: dict
    memory: jax.Array
    memory_mask: jax.Array

    def call(self, method, *args, **kwargs):
        return apply(self.model, method, self.params, *args, **kwargs)

    def logits(self, ids, mask, **kwargs):
        return self.call("__call__", ids, mask, self.memory, self.memory_mask, **kwargs)

    def start(self, length):
        return self.call("start", self.memory, self.memory_mask, length=length)

    def extend(self, ids, mask, cache):
        return self.call("extend", ids, mask, cache)

    def row(self, i):
        return self._replace(memory=self.memory[i : i + 1], memory_mask=self.memory_mask[i : i + 1])


def make_decoder(vocab: int, batch: int) -> Decoder:
    model = ComposedDecoder(vocab, WIDTH, depth=2, heads=2, mlp=32, max_length=16)
    ids, mask = jnp.zeros((batch, 4), jnp.int32), jnp.ones((batch, 4), bool)
    memory = jax.random.normal(jax.random.key(1), (batch, MEMORY, WIDTH))
    memory_mask = jnp.arange(MEMORY) < jnp.array([[5], [3], [4]])[:batch]
    params = nn.unbox(jax.jit(model.init)(jax.random.key(0), ids, mask, memory, memory_mask))["params"]
    params["tokens"]["embedding"] *= 40  # as initialised every next token would be as likely as any other
    return Decoder(model, params, memory, memory_mask)


def sharpen(decoder: Decoder) -> Decoder:
    """Larger weights, or the tied table would make it repeat its last token."""
    params = dict(decoder.params, positions=decoder.params["positions"] * 80)
    block = jax.tree.map(lambda x: 3 * x, params["layers"]["block"])
    return decoder._replace(params=dict(params, layers=dict(params["layers"], block=block)))


@pytest.fixture(scope="module", autouse=True)
def compile_quickly():
    """These tests compile much and compute little."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def decoder() -> Decoder:
    return make_decoder(11, 3)


@pytest.fixture(scope="session")
def writer(decoder) -> Decoder:
    """The decoder with enough of an opinion to write sequences worth comparing."""
    return sharpen(decoder)


@pytest.fixture(scope="session")
def small_writer() -> Decoder:
    """Five token ids, so that all sequences can be counted out."""
    return sharpen(make_decoder(5, 3))
