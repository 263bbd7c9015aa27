"""What a training run carries from step to step."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh

from unimedvlp.parallel.rules import RULES, Rules, replicated, shardings
from unimedvlp.training import trees
from unimedvlp.training.optimizers import Optimizer


class TrainState(struct.PyTreeNode):
    """step: updates tried, which is also the data position. skipped: those left out because they were not finite.

    params: nested dict, float32. opt_state and ema (None without averaging): for the trainable parameters only.
    rng: raw key data; the key of a step is this one folded with the step, so bits depend on (state, batch) alone.
    """

    step: jax.Array
    skipped: jax.Array
    params: dict
    opt_state: optax.OptState
    ema: dict | None
    rng: jax.Array

    @property
    def evaluation_params(self) -> dict:
        """The averaged parameters where there is an average, else the parameters."""
        return self.params if self.ema is None else trees.override(self.params, self.ema)


def abstract_state(
    system: Any, optimizer: Optimizer, batch: Any, mesh: Mesh, *, ema: bool, rules: Rules = RULES
) -> TrainState:
    """The state as `jax.ShapeDtypeStruct` leaves with their shardings; optimiser state and EMA follow the parameters.

    Args:
      batch: arrays or ShapeDtypeStructs of the global batch; only their shapes are used.
    """
    rng = jax.eval_shape(lambda: jax.random.key(0))
    boxed = jax.eval_shape(lambda rng: system.init(rng, _zeros(batch)), rng)
    layout, everywhere = shardings(boxed, mesh, rules), replicated(mesh)
    optimizer.check(nn.unbox(boxed))
    state = jax.eval_shape(lambda rng: _build(system, optimizer, rng, batch, ema), rng)
    trainable = optimizer.trainable(layout)
    placed = state.replace(
        step=everywhere,
        skipped=everywhere,
        params=layout,
        opt_state=optax.tree_utils.tree_map_params(
            optimizer.transform,
            lambda _, sharding: sharding,
            state.opt_state,
            trainable,
            transform_non_params=lambda _: everywhere,
        ),
        ema=trainable if ema else None,
        rng=everywhere,
    )
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, placed)


def create(
    system: Any,
    optimizer: Optimizer,
    rng: jax.Array,
    batch: Any,
    mesh: Mesh,
    *,
    ema: bool = False,
    rules: Rules = RULES,
) -> TrainState:
    """Initialises the state directly on its shards; the values do not depend on the mesh."""
    abstract = abstract_state(system, optimizer, batch, mesh, ema=ema, rules=rules)
    build = jax.jit(
        lambda rng: _build(system, optimizer, rng, batch, ema),
        out_shardings=jax.tree.map(lambda x: x.sharding, abstract),
    )
    return build(rng)


def _build(system: Any, optimizer: Optimizer, rng: jax.Array, batch: Any, ema: bool) -> TrainState:
    init_rng, step_rng = jax.random.split(rng)
    params = nn.unbox(system.init(init_rng, _zeros(batch)))
    trainable = optimizer.trainable(params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.transform.init(trainable),
        ema=jax.tree.map(jnp.copy, trainable) if ema else None,
        rng=jax.random.key_data(step_rng),
    )


def _zeros(batch: Any) -> Any:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, jax.dtypes.canonicalize_dtype(x.dtype)), batch)
