"""The optimiser against optax and arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from unimedvlp.errors import UserError
from unimedvlp.training import optimizers, trees

PARAMS = {
    "image": {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.ones(2)},
    "stack": {"norm": {"scale": jnp.ones((3, 2))}, "dense": {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones((3, 2))}},
    "table": {"embedding": jnp.ones((5, 2))},
    "positions": jnp.ones((4, 2)),
}
GRADS = jax.tree.map(lambda x: 0.01 * jnp.arange(x.size, dtype=jnp.float32).reshape(x.shape) - 0.02, PARAMS)


def steps(optimizer, params, count=3):
    params = optimizer.trainable(params)
    state = optimizer.transform.init(params)
    grads = optimizer.trainable(GRADS)
    for _ in range(count):
        updates, state = optimizer.transform.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_equals_optax_adamw_with_clipping():
    config = {"learning_rate": 0.1, "weight_decay": 0.5, "clip": 0.05, "schedule": "constant", "b2": 0.95}
    ours = steps(optimizers.make(config, 10), PARAMS)
    chain = optax.chain(
        optax.clip_by_global_norm(0.05),
        optax.adamw(0.1, b1=0.9, b2=0.95, weight_decay=0.5, mask=optimizers.decayed),
    )
    theirs = steps(optimizers.Optimizer(chain, optax.constant_schedule(0.1), ()), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs)


def test_weight_decay_goes_by_name_not_rank():
    decayed = {path for path, yes in trees.flat(optimizers.decayed(PARAMS)).items() if yes}
    assert decayed == {"image/kernel", "stack/dense/kernel"}


def test_multiplier_scales_the_update_and_zero_freezes():
    plain = optimizers.make({"schedule": "constant"}, 10)
    config = {"schedule": "constant", "multipliers": [["image/.*", 0.1], ["stack/.*", 0]]}
    scaled = optimizers.make(config, 10)
    assert "stack" not in scaled.trainable(PARAMS)
    clip_free = {"clip": None}
    a = steps(optimizers.make({"schedule": "constant"} | clip_free, 10), PARAMS)
    b = steps(optimizers.make(config | clip_free, 10), PARAMS)
    moved = [np.asarray(p["image"]["kernel"] - PARAMS["image"]["kernel"]) for p in (a, b)]
    np.testing.assert_allclose(moved[1], 0.1 * moved[0], rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(a["positions"], b["positions"])
    assert jax.tree.structure(plain.trainable(PARAMS)) == jax.tree.structure(PARAMS)


def test_frozen_parameters_have_no_optimizer_state():
    optimizer = optimizers.make({"multipliers": {"stack/.*|positions": 0}}, 10)
    state = trees.flat(jax.eval_shape(optimizer.transform.init, optimizer.trainable(PARAMS)))
    assert not [path for path in state if "stack" in path or "positions" in path]
    assert [path for path in state if "table" in path]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", [0, 0.5, 1, 0.5, 0]), ("linear", [0, 0.5, 1, 0.5, 0]), ("constant", [0, 0.5, 1, 1, 1])],
)
def test_schedules(schedule, expected):
    rate = optimizers.make({"learning_rate": 1.0, "warmup": 4, "schedule": schedule}, 12).schedule
    np.testing.assert_allclose([rate(n) for n in (0, 2, 4, 8, 12)], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lerning_rate": 1}, "learning_rate"),
        ({"name": "sgd"}, "adamw"),
        ({"schedule": "cosin"}, "cosine"),
        ({"warmup": 10}, "10 steps do not fit a run of 10"),
        ({"multipliers": {"(": 1}}, "regular expression"),
    ],
)
def test_bad_configs_name_the_field(config, message):
    with pytest.raises(UserError, match=message):
        optimizers.make(config, 10)


def test_multipliers_are_checked_against_the_parameters():
    with pytest.raises(UserError, match=r"'img/.\*' matches no parameter"):
        optimizers.make({"multipliers": {"img/.*": 0}}, 10).check(PARAMS)
    with pytest.raises(UserError, match="nothing is left to train"):
        optimizers.make({"multipliers": {".*": 0}}, 10).check(PARAMS)
