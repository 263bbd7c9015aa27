"""Logical axes become mesh axes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P

from unimedvlp.models.layers import AXES as MODEL_AXES
from unimedvlp.parallel.mesh import AXES, make_mesh
from unimedvlp.parallel.rules import RULES, activate, batch_sharding, shardings

MESH = AbstractMesh((2, 2, 2, 2, 1), AXES, axis_types=(AxisType.Auto,) * 5)


def boxed(shape, *names):
    return nn.LogicallyPartitioned(jax.ShapeDtypeStruct(shape, jnp.float32), names)


def test_parameters_follow_the_table():
    tree = {
        "up": boxed((3, 8, 16), "layers", "embed", "mlp"),
        "table": boxed((10, 8), "vocab", "embed"),
        "odd": boxed((7, 8), "embed", "mlp"),
        "unnamed": boxed((4, 4), None, None),
        "plain": jax.ShapeDtypeStruct((4, 4), jnp.float32),
    }
    found = {name: sharding.spec for name, sharding in shardings(tree, MESH).items()}
    assert found == {
        "up": P(None, "fsdp", "tensor"),
        "table": P("tensor", "fsdp"),
        "odd": P(None, "tensor"),
        "unnamed": P(None, None),
        "plain": P(),
    }


def test_a_misspelt_name_is_an_error():
    with pytest.raises(ValueError, match="'embd' has no rule"):
        shardings({"x": boxed((4,), "embd")}, MESH)


def test_every_axis_that_the_models_name_has_a_rule():
    assert set(MODEL_AXES) <= {name for name, _ in RULES}


def test_batches_lie_over_replica_data_and_fsdp():
    assert batch_sharding(MESH).shard_shape((16, 3)) == (2, 3)


def test_constraints_act_only_while_active():
    mesh = make_mesh({"data": 1}, jax.devices()[:1])

    def f(x, on):
        if not on:
            return nn.with_logical_constraint(x, ("batch", "embed"))
        with activate(mesh):
            return nn.with_logical_constraint(x, ("batch", "embed"))

    texts = [jax.jit(f, static_argnums=1).lower(jnp.ones((4, 4)), on).as_text() for on in (True, False)]
    assert ["sharding_constraint" in text for text in texts] == [True, False]
