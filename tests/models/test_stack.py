import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.attention import padding_mask
from unimedvlp.models.layers import AXES
from unimedvlp.models.stack import Block, Stack

B, T, N, D, HEADS, DEPTH = 2, 5, 3, 8, 2, 3


def block(**kwargs) -> Block:
    return Block(D, HEADS, mlp=16, parent=None, **kwargs)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    x, memory = (jnp.asarray(rng.normal(size=(B, n, D)), jnp.float32) for n in (T, N))
    mask = padding_mask(jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool))
    memory_mask = padding_mask(jnp.array([[1, 0, 1], [1, 1, 1]], bool))
    return x, mask, memory, memory_mask


@pytest.fixture(scope="module")
def params(inputs):
    return nn.unbox(jax.jit(Stack(block(cross=True), DEPTH).init)(jax.random.key(0), *inputs))


def test_scan_equals_a_loop_over_layers(inputs, params):
    x, *rest = inputs
    stacked, one = params["params"]["block"], jax.jit(block(cross=True).apply)
    for i in range(DEPTH):
        x = one({"params": jax.tree.map(lambda p, i=i: p[i], stacked)}, x, *rest)
    x = nn.LayerNorm(epsilon=1e-6).apply({"params": params["params"]["norm"]}, x)
    for unroll in (1, DEPTH):
        out = jax.jit(Stack(block(cross=True), DEPTH, unroll=unroll).apply)(params, *inputs)
        np.testing.assert_allclose(out, x, atol=1e-5)


def test_remat_changes_no_gradient(inputs, params):
    def gradient(name):
        stack = Stack(block(cross=True, dropout=0.3), DEPTH, remat=name)
        rngs = {"dropout": jax.random.key(5)}
        return jax.jit(jax.grad(lambda p: (stack.apply(p, *inputs, deterministic=False, rngs=rngs) ** 2).sum()))(params)

    expected = gradient("none")
    for name in ("dots", "full"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), gradient(name), expected)


def test_unknown_remat_and_unfit_width():
    with pytest.raises(UserError, match="remat 'some' is unknown"):
        Stack(block(), 1, remat="some").init(jax.random.key(0), jnp.ones((1, 2, D)))
    with pytest.raises(UserError, match="width 8 is not a multiple of heads 3"):
        Block(D, 3, mlp=8).init(jax.random.key(0), jnp.ones((1, 2, D)))


def test_dropout_acts_only_in_training(inputs, params):
    stack = Stack(block(cross=True, dropout=0.5), DEPTH)
    quiet = jax.jit(stack.apply)(params, *inputs)
    np.testing.assert_array_equal(quiet, jax.jit(Stack(block(cross=True), DEPTH).apply)(params, *inputs))
    rngs = {"dropout": jax.random.key(0)}
    noisy = jax.jit(partial(stack.apply, deterministic=False))(params, *inputs, rngs=rngs)
    assert np.abs(noisy - quiet).max() > 0.1


def test_bfloat16_computes_near_float32_with_float32_params(inputs, params):
    stack = Stack(block(cross=True, dtype=jnp.bfloat16), DEPTH)
    fresh = nn.unbox(jax.eval_shape(stack.init, jax.random.key(0), *inputs))
    assert {p.dtype for p in jax.tree.leaves(fresh)} == {jnp.dtype(jnp.float32)}
    out = jax.jit(stack.apply)(params, *inputs)
    assert out.dtype == jnp.bfloat16
    exact = jax.jit(Stack(block(cross=True), DEPTH).apply)(params, *inputs)
    np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.15)


def test_post_norm_block_equals_bert_in_numpy(inputs):
    """An independent re-implementation of a BERT layer (Devlin et al., 2019) in float64."""
    x, mask, _, _ = inputs
    model = block(pre_norm=False, eps=1e-12)
    params = nn.unbox(jax.jit(model.init)(jax.random.key(3), x, mask))["params"]
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)

    def linear(y, layer, wide=1):
        kernel = layer["kernel"]
        kernel = kernel.reshape(math.prod(kernel.shape[:wide]), -1)
        return y @ kernel + layer["bias"].reshape(-1)

    def norm(y, layer):
        y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-12)
        return y * layer["scale"] + layer["bias"]

    def split(y):
        return y.reshape(B, T, HEADS, D // HEADS).transpose(0, 2, 1, 3)

    y = np.asarray(x, np.float64)
    q, k, v = (split(linear(y, p["attention"][name])) for name in ("query", "key", "value"))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(D // HEADS) + np.where(mask, 0, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    context = (weights / weights.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(B, T, D)
    y = norm(y + linear(context, p["attention"]["out"], wide=2), p["attention_norm"])
    up = linear(y, p["feed_forward"]["up"])
    gelu = up * 0.5 * (1 + np.vectorize(math.erf)(up / np.sqrt(2)))
    y = norm(y + linear(gelu, p["feed_forward"]["down"]), p["feed_forward_norm"])
    np.testing.assert_allclose(jax.jit(model.apply)({"params": params}, x, mask), y, atol=1e-5)


def test_every_parameter_names_its_axes(inputs):
    boxed = jax.eval_shape(Stack(block(cross=True), DEPTH).init, jax.random.key(0), *inputs)
    leaves = jax.tree.leaves(boxed, is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned))
    assert all(isinstance(leaf, nn.LogicallyPartitioned) for leaf in leaves)
    assert {name for leaf in leaves for name in leaf.names} <= set(AXES)
    assert all(len(leaf.names) == leaf.value.ndim for leaf in leaves)
    assert all(
        p.names[0] == "layers" and p.value.shape[0] == DEPTH
        for p in jax.tree.leaves(boxed["params"]["block"], is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned))
    )


def test_each_block_constrains_its_output_under_a_mesh_only(inputs, params):
    apply = Stack(block(cross=True), DEPTH).apply
    assert "sharding_constraint" not in str(jax.make_jaxpr(apply)(params, *inputs))
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh), nn.logical_axis_rules([("batch", "data")]):
        assert str(jax.make_jaxpr(lambda p, *a: apply(p, *a))(params, *inputs)).count("= sharding_constraint") == 1
