"""The training step on one device: accumulation, averaging, freezing, steps that are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_system import OPTIMIZER, System, batch_at, bits

from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training import optimizers, trees
from unimedvlp.training.state import abstract_state, create
from unimedvlp.training.step import make_eval_step, make_train_step


class Still(System):
    """The tiny system without dropout."""

    def loss(self, params, batch, rng, *, train):
        return super().loss(params, batch, rng, train=False)


def made(system, config=OPTIMIZER, ema_decay=None, **options):
    """(step, state)"""
    mesh, batch = make_mesh({"data": 1}, jax.devices()[:1]), batch_at(0)
    optimizer = optimizers.make(config, 100)
    ema = ema_decay is not None
    abstract = abstract_state(system, optimizer, batch, mesh, ema=ema)
    state = create(system, optimizer, jax.random.key(0), batch, mesh, ema=ema)
    return make_train_step(system, optimizer, abstract, mesh, ema_decay=ema_decay, **options), state


def host(tree):
    return jax.tree.map(np.array, tree)


def test_accumulation_equals_the_whole_batch():
    results = []
    for accumulate in (1, 4):
        step, state = made(Still(), accumulate=accumulate)
        for i in range(3):
            state, metrics = step(state, batch_at(i))
        results.append((bits(state.params), metrics))
    (a, whole), (b, parts) = results
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-6)
    for name in ("loss", "grad_norm", "tokens"):
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-5)
    assert {metric.dtype for metric in parts.values()} == {np.dtype("float32")}


def test_the_step_is_a_gradient_update_and_the_average_follows_it():
    config = {"learning_rate": 0.1, "schedule": "constant"}
    step, state = made(Still(), config, ema_decay=0.5)
    params, ema = host(state.params), host(state.ema)
    transform = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
    opt_state = transform.init(params)

    @jax.jit
    def by_hand(params, opt_state, batch):
        grads = jax.grad(lambda p: System().loss(p, batch, jax.random.key(0), train=False)[0])(params)
        updates, opt_state = transform.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, grads

    for i in range(3):
        params, opt_state, grads = by_hand(params, opt_state, batch_at(i))
        decay = min(0.5, (1 + i) / (10 + i))
        ema = jax.tree.map(lambda e, p, d=decay: d * e + (1 - d) * p, ema, params)
        state, metrics = step(state, batch_at(i))
        np.testing.assert_allclose(metrics["grad_norm"], optax.global_norm(grads), rtol=1e-5)
    for ours, expected in ((state.params, params), (state.ema, ema), (state.evaluation_params, ema)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, expected)


def test_frozen_parameters_do_not_move_and_have_no_state():
    step, state = made(System(), OPTIMIZER | {"multipliers": {"stack/.*": 0}}, ema_decay=0.9)
    assert not [path for path in trees.flat((state.opt_state, state.ema)) if "stack" in path]
    before = host(state.params)
    for i in range(3):
        state, _ = step(state, batch_at(i))
    jax.tree.map(np.testing.assert_array_equal, before["stack"], host(state.params["stack"]))
    assert np.abs(before["head"]["kernel"] - np.array(state.params["head"]["kernel"])).max() > 1e-4
    assert jax.tree.structure(state.evaluation_params) == jax.tree.structure(state.params)


def test_an_update_that_is_not_finite_is_left_out_and_counted():
    step, state = made(System(), ema_decay=0.9)
    state, _ = step(state, batch_at(0))
    before = host(state)
    state, metrics = step(state, batch_at(1, bad=[1]))
    assert metrics["finite"] == 0 and np.isinf(metrics["share"])
    expected = before.replace(step=np.int32(2), skipped=np.int32(1))
    jax.tree.map(np.testing.assert_array_equal, expected, host(state))
    state, metrics = step(state, batch_at(2))
    assert metrics["finite"] == 1 and state.step == 3 and state.skipped == 1


class Counting(Still):
    """Keeps the running mean of its inputs among the parameters."""

    def init(self, rng, batch):
        return {**super().init(rng, batch), "statistics": {"mean": jnp.zeros(3)}}

    def loss(self, params, batch, rng, *, train):
        own = {name: value for name, value in params.items() if name != "statistics"}
        loss, metrics = super().loss(own, batch, rng, train=train)
        mean = 0.5 * params["statistics"]["mean"] + 0.5 * batch["x"].mean(0)
        return loss, metrics | {"statistics": {"mean": mean}}


@pytest.mark.parametrize("accumulate", [1, 4])
def test_running_statistics_replace_their_parameters(accumulate):
    step, state = made(Counting(), ema_decay=0.9, accumulate=accumulate)
    assert "statistics" not in state.ema
    expected = np.zeros(3)
    for i in range(3):
        state, metrics = step(state, batch_at(i))
        expected = 0.5 * expected + 0.5 * np.asarray(batch_at(i)["x"]).mean(0)
    np.testing.assert_allclose(state.params["statistics"]["mean"], expected, rtol=1e-5, atol=1e-6)
    assert "statistics" not in metrics and state.evaluation_params["statistics"]["mean"].shape == (3,)


def test_random_bits_depend_on_the_step():
    step, state = made(System(), {"learning_rate": 0.0})
    losses = []
    for _ in range(2):
        state, metrics = step(state, batch_at(0))
        losses.append(float(metrics["loss"]))
    assert losses[0] != losses[1]


def test_evaluation_step_is_deterministic_and_without_dropout():
    _, state = made(System())
    step = make_eval_step(System(), make_mesh({"data": 1}, jax.devices()[:1]))
    first, second = (step(state.params, batch_at(0)) for _ in range(2))
    expected = System().loss(state.params, batch_at(0), jax.random.key(5), train=False)[0]
    assert first["loss"] == second["loss"]
    np.testing.assert_allclose(first["loss"], expected, rtol=1e-6)


def test_average_and_state_must_agree():
    with pytest.raises(ValueError, match="both or neither"):
        mesh = make_mesh({"data": 1}, jax.devices()[:1])
        optimizer = optimizers.make(OPTIMIZER, 10)
        abstract = abstract_state(System(), optimizer, batch_at(0), mesh, ema=True)
        make_train_step(System(), optimizer, abstract, mesh)
