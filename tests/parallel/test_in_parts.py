"""Gradient caching: the gradients of the whole batch, with the activations of one part at a time."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.objectives.contrast import info_nce, unit
from unimedvlp.objectives.ring_contrast import info_nce as ring_info_nce
from unimedvlp.parallel.in_parts import in_parts

B, D, DEPTH = 64, 128, 4


class Tower(nn.Module):
    """A tower with enough layers for its activations to count."""

    @nn.compact
    def __call__(self, x, train=False):
        for _ in range(DEPTH):
            x = x + nn.gelu(nn.Dense(D)(x))
        return unit(nn.Dropout(0.5, deterministic=not train)(x))


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    batch = {name: jnp.asarray(rng.normal(size=(B, D)), jnp.float32) for name in ("image", "text")}
    return Tower().init(jax.random.key(0), batch["image"]), batch


def loss(params, batch, parts, contrast, train=False):
    def encode(rows, rng):
        image, text = jax.random.split(rng)
        apply = functools.partial(Tower().apply, params, train=train)
        return apply(rows["image"], rngs={"dropout": image}), apply(rows["text"], rngs={"dropout": text})

    return contrast(*in_parts(encode, batch, jax.random.key(1), parts), jnp.float32(10.0))[0]


@pytest.mark.parametrize("contrast", [info_nce, ring_info_nce])
def test_gradients_are_those_of_the_whole_batch(pairs, contrast):
    whole, cached = (
        jax.jit(jax.value_and_grad(functools.partial(loss, parts=n, contrast=contrast)))(*pairs) for n in (1, 8)
    )
    np.testing.assert_allclose(cached[0], whole[0], rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), cached[1], whole[1])


def test_a_part_is_dropped_out_the_same_on_the_way_back(pairs):
    params, batch = pairs
    noisy = functools.partial(loss, batch=batch, parts=4, contrast=info_nce, train=True)
    grads = jax.jit(jax.grad(noisy))(params)
    direction = jax.tree.map(lambda g: g / jnp.linalg.norm(g), grads)
    step = 1e-2
    up, down = (jax.jit(noisy)(jax.tree.map(lambda p, d, s=s: p + s * d, params, direction)) for s in (step, -step))
    slope = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, grads, direction)))
    np.testing.assert_allclose((up - down) / (2 * step), slope, rtol=0.02)


def test_memory_is_that_of_one_part(pairs):
    def temporary(parts):
        step = jax.jit(jax.grad(functools.partial(loss, parts=parts, contrast=info_nce)))
        return step.lower(*pairs).compile().memory_analysis().temp_size_in_bytes

    assert temporary(8) < 0.5 * temporary(1)
