"""The jitted training and evaluation steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from unimedvlp.parallel.in_parts import split
from unimedvlp.parallel.rules import RULES, Rules, activate, batch_sharding, replicated
from unimedvlp.training import trees
from unimedvlp.training.optimizers import Optimizer
from unimedvlp.training.state import TrainState

Metrics = dict[str, jax.Array]


def make_train_step(
    system: Any,
    optimizer: Optimizer,
    abstract: TrainState,
    mesh: Mesh,
    *,
    rules: Rules = RULES,
    accumulate: int = 1,
    ema_decay: float | None = None,
) -> Callable[[TrainState, Any], tuple[TrainState, Metrics]]:
    """Compiles (state, batch) -> (state, metrics); the state is donated and keeps the shardings of `abstract`.

    With `accumulate` = A the gradient is the mean over A microbatches, the k-th being rows k, k + A, k + 2A, ... of the
    batch (so that each is spread over all devices). Microbatches weigh the same: a loss that divides by a count of
    tokens equals the unaccumulated one only where those counts are equal.

    An update whose loss or gradient norm is not finite is left out: parameters, optimiser and EMA stay, `step` moves
    on and `skipped` counts it. Whether the run then stops is the host's decision (see telemetry).

    The EMA decays by min(ema_decay, (1 + n) / (10 + n)) at its n-th update, so early averages forget the initial values.

    Running statistics that `system.loss` returns among its metrics under "statistics" replace the parameters of that name
    (the mean over the microbatches); these have no gradient and no optimiser state.

    Metrics, all float32 scalars: the others of `system.loss`, and loss, grad_norm (before clipping), learning_rate, finite.
    """

    def gradients(params: dict, batch: Any, rng: jax.Array) -> tuple[dict, Metrics]:
        def loss_of(trainable: dict) -> tuple[jax.Array, Metrics]:
            loss, metrics = system.loss(trees.override(params, trainable), batch, rng, train=True)
            return loss, _float32({"statistics": {}, **metrics, "loss": loss})

        return jax.grad(loss_of, has_aux=True)(optimizer.trainable(params))

    def accumulated(params: dict, batch: Any, rng: jax.Array) -> tuple[dict, Metrics]:
        def add(total: Any, xs: tuple[Any, jax.Array]) -> tuple[Any, None]:
            micro, k = xs
            part = gradients(params, micro, jax.random.fold_in(rng, k))
            return jax.tree.map(lambda a, b: a + b / accumulate, total, part), None

        microbatches = split(batch, accumulate)
        shapes = jax.eval_shape(gradients, params, jax.tree.map(lambda x: x[0], microbatches), rng)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.scan(add, zeros, (microbatches, jnp.arange(accumulate)))[0]

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        with activate(mesh, rules):
            rng = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
            grads, metrics = (gradients if accumulate == 1 else accumulated)(state.params, batch, rng)
            trainable = optimizer.trainable(state.params)
            updates, opt_state = optimizer.transform.update(grads, state.opt_state, trainable)
            trainable = optax.apply_updates(trainable, updates)
            done = state.step - state.skipped
            ema = None if state.ema is None else _average(state.ema, trainable, ema_decay, done)
            statistics = {"statistics": metrics.pop("statistics")}
            norm = optax.global_norm(grads)
            finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
            params = trees.override(trees.override(state.params, trainable), statistics)
            new = state.replace(params=params, opt_state=opt_state, ema=ema)
            kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
            state = kept.replace(step=state.step + 1, skipped=state.skipped + ~finite)
            rate = optimizer.schedule(done)
            return state, metrics | _float32({"grad_norm": norm, "learning_rate": rate, "finite": finite})

    if (abstract.ema is None) != (ema_decay is None):
        raise ValueError("ema_decay and the state's ema go together: both or neither")
    layout = jax.tree.map(lambda x: x.sharding, abstract)
    return jax.jit(
        step,
        in_shardings=(layout, batch_sharding(mesh)),
        out_shardings=(layout, replicated(mesh)),
        donate_argnums=0,
    )


def make_eval_step(system: Any, mesh: Mesh, *, rules: Rules = RULES) -> Callable[[dict, Any], Metrics]:
    """Compiles (params, batch) -> metrics of `system.loss` with train=False, and "loss"; always the same random key."""

    def step(params: dict, batch: Any) -> Metrics:
        with activate(mesh, rules):
            loss, metrics = system.loss(params, batch, jax.random.key(0), train=False)
            metrics.pop("statistics", None)
            return _float32({**metrics, "loss": loss})

    return jax.jit(step, out_shardings=replicated(mesh))


def _average(ema: dict, params: dict, decay: float, done: jax.Array) -> dict:
    decay = jnp.minimum(decay, (1.0 + done) / (10.0 + done))
    return optax.incremental_update(params, ema, 1.0 - decay)


def _float32(metrics: dict[str, Any]) -> Metrics:
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), metrics)
