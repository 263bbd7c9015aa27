"""FLOPs against hand counts, and against the compiler where nothing loops."""

import jax
import jax.numpy as jnp
import pytest

from unimedvlp.models.stack import Block, Stack
from unimedvlp.models.vit import ViT
from unimedvlp.parallel.mesh import AXES, make_mesh
from unimedvlp.training.flops import flops_per_step


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def compiler(fn, *args):
    return jax.jit(fn).lower(*args).compile().cost_analysis()["flops"]


def test_a_matrix_product():
    assert flops_per_step(lambda a, b: a @ b, shape(3, 5), shape(5, 7)) == 2 * 3 * 5 * 7


def test_a_batched_product_over_two_axes():
    fn = lambda a, b: jnp.einsum("bthk,bshk->bts", a, b)  # noqa: E731
    assert flops_per_step(fn, shape(2, 3, 4, 5), shape(2, 6, 4, 5)) == 2 * (2 * 3 * 6) * (4 * 5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_and_both_its_gradients(stride, groups):
    def fn(x, k):
        layout = ("NHWC", "HWIO", "NHWC")
        out = jax.lax.conv_general_dilated(
            x, k, (stride, stride), [(1, 1)] * 2, dimension_numbers=layout, feature_group_count=groups
        )
        return out.sum()

    side = 8 // stride
    forward = 2 * (3 * side * side * 6) * (3 * 3 * 4 / groups)
    args = shape(3, 8, 8, 4), shape(3, 3, 4 // groups, 6)
    assert flops_per_step(fn, *args) == forward
    assert flops_per_step(jax.grad(fn, (0, 1)), *args) == 3 * forward


def mlp_loss(policy):
    def layer(x, w):
        return jnp.tanh(x @ w), None

    def loss(weights, x):
        body = layer if policy is None else jax.checkpoint(layer, policy=policy, prevent_cse=False)
        return jax.lax.scan(body, x, weights)[0].sum()

    return jax.grad(loss)


@pytest.mark.parametrize("policy", [None, jax.checkpoint_policies.nothing_saveable])
def test_loops_count_and_recomputation_only_when_asked(policy):
    args = shape(5, 4, 4), shape(2, 4)
    forward = 5 * 2 * 2 * 4 * 4
    grad = mlp_loss(policy)
    assert flops_per_step(jax.jit(grad), *args) == 3 * forward
    assert flops_per_step(grad, *args, recompute=True) == (3 if policy is None else 4) * forward


def test_the_larger_branch_counts():
    def fn(x):
        return jax.lax.cond(x.sum() > 0, lambda x: x @ x, lambda x: x @ x @ x, x)

    assert flops_per_step(fn, shape(4, 4)) == 2 * 2 * 4**3


def test_all_devices_of_a_shard_map_count():
    mesh = make_mesh({"data": 1}, jax.devices()[:1]).abstract_mesh
    wide = jax.sharding.AbstractMesh((1, 4, 1, 1, 1), AXES, axis_types=mesh.axis_types)
    spec = jax.P("data")
    fn = jax.shard_map(lambda a, b: a @ b, mesh=wide, in_specs=(spec, jax.P()), out_specs=spec)
    assert flops_per_step(fn, shape(8, 4), shape(4, 3)) == 2 * 8 * 4 * 3


def test_a_transformer_layer_by_hand_and_by_the_compiler():
    batch, length, width, hidden = 2, 16, 128, 512
    stack = Stack(Block(width, heads=4, mlp=hidden, parent=None), depth=1)
    x = shape(batch, length, width)
    params = jax.eval_shape(stack.init, jax.random.key(0), x)
    linear = 4 * width * width + 2 * width * hidden
    by_hand = 2 * batch * length * (linear + 2 * length * width)
    assert flops_per_step(stack.apply, params, x) == by_hand
    assert by_hand == pytest.approx(compiler(stack.apply, params, x), rel=0.1)  # it also counts norms and softmax


def test_vit_b16_is_the_published_size():
    """17.5 GMAC for one image of 224 pixels (Touvron et al., 2021, table 5: 17.6 with the head)."""
    vit = ViT((224, 224), 16, width=768, depth=12, heads=12, mlp=3072)
    image = shape(1, 224, 224, 3)
    params = jax.eval_shape(vit.init, jax.random.key(0), image)
    tokens, width = 197, 768
    layer = tokens * (4 * width**2 + 2 * width * 3072) + 2 * tokens**2 * width
    by_hand = 2 * (196 * 768 * width + 12 * layer)
    assert flops_per_step(vit.apply, params, image) == by_hand
    assert by_hand / 2e9 == pytest.approx(17.5, abs=0.1)
