"""AdamW as medical vision-language models are trained with it, from one flat config."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.training import trees

STATISTICS = "statistics/"  # running statistics among the parameters, see `make_train_step`
SCHEDULES = ("cosine", "linear", "constant")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The fields of an optimiser config, beside its `name`.

    learning_rate: the peak. warmup: steps of linear warm-up from 0.
    schedule: after warm-up, "cosine" or "linear" to 0 at the last step, or "constant".
    weight_decay: times the learning rate, on parameters named `kernel` only: never on biases, norms, embeddings,
      positions, prompts or temperatures. The name decides, not the rank, because scanned layers stack their parameters.
    clip: global gradient norm, or None. b1, b2, eps: Adam's.
    multipliers: {regex: factor} or pairs of them; the first regex that matches the whole "/"-joined path of a parameter
      scales its learning rate; factor 0 freezes it: no gradient, no optimiser state, no EMA copy.
    """

    learning_rate: float = 1e-3
    warmup: int = 0
    schedule: str = "cosine"
    weight_decay: float = 0.0
    clip: float | None = 1.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    multipliers: Mapping[str, float] | Sequence[tuple[str, float]] = ()


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """`transform` acts on `trainable(params)`; `schedule(n)` is the learning rate of the (n+1)-th update."""

    transform: optax.GradientTransformation
    schedule: optax.Schedule
    multipliers: tuple[tuple[re.Pattern, float], ...]

    def trainable(self, params: dict) -> dict:
        """The parameters that are not frozen, as a nested dict; running statistics are not trained either."""
        return trees.prune(
            params, lambda path: not path.startswith(STATISTICS) and _factor(path, self.multipliers) != 0
        )

    def check(self, params: dict) -> None:
        """Raises UserError for a multiplier that matches no parameter or if all are frozen."""
        paths = trees.flat(params)
        for pattern, _ in self.multipliers:
            if not any(pattern.fullmatch(path) for path in paths):
                near = difflib.get_close_matches(pattern.pattern, paths, 1, 0.0)[0]
                raise UserError(f"optimizer.multipliers: {pattern.pattern!r} matches no parameter; one is {near!r}")
        if not self.trainable(params):
            raise UserError("optimizer.multipliers: every parameter is frozen, nothing is left to train")


def make(config: Mapping[str, Any], total_steps: int) -> Optimizer:
    """Builds the optimiser of a run of `total_steps` updates from the fields of `Settings` and `name`, which is "adamw".

    Raises:
      UserError: for an unknown field, name or schedule, a bad regex, or a warm-up longer than the run.
    """
    options = dict(config)
    name = options.pop("name", "adamw")
    if name != "adamw":
        raise UserError(f"optimizer.name: {name!r} is unknown; use 'adamw' (Loshchilov and Hutter, 2019)")
    settings = configs.build(Settings, options, "optimizer")
    multipliers = _compile(settings.multipliers)
    schedule = make_schedule(settings, total_steps)
    transform = optax.chain(
        optax.clip_by_global_norm(settings.clip) if settings.clip else optax.identity(),
        optax.scale_by_adam(settings.b1, settings.b2, settings.eps),
        optax.add_decayed_weights(settings.weight_decay, mask=decayed),
        optax.stateless(lambda updates, params: _scale(updates, multipliers)),
        optax.scale_by_learning_rate(schedule),
    )
    return Optimizer(transform, schedule, multipliers)


def make_schedule(settings: Settings, total_steps: int) -> optax.Schedule:
    """Linear warm-up, then the named decay to 0 at `total_steps`."""
    peak, warmup = settings.learning_rate, settings.warmup
    if settings.schedule not in SCHEDULES:
        raise UserError(f"optimizer.schedule: {settings.schedule!r} is unknown; use one of {', '.join(SCHEDULES)}")
    if not 0 <= warmup < max(total_steps, 1):
        raise UserError(f"optimizer.warmup: {warmup} steps do not fit a run of {total_steps} steps")
    rest = max(total_steps - warmup, 1)  # a run of no steps only scores
    after = {
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "linear": optax.linear_schedule(peak, 0.0, rest),
        "constant": optax.constant_schedule(peak),
    }[settings.schedule]
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup]) if warmup else after


def decayed(params: Any) -> Any:
    """Mask of the parameters under weight decay: those whose own name is `kernel`."""
    return jax.tree.map_with_path(lambda path, _: _name(path).rpartition("/")[2] == "kernel", params)


def _scale(updates: Any, multipliers: Sequence[tuple[re.Pattern, float]]) -> Any:
    return jax.tree.map_with_path(lambda path, u: u * _factor(_name(path), multipliers), updates)


def _factor(path: str, multipliers: Sequence[tuple[re.Pattern, float]]) -> float:
    return next((factor for pattern, factor in multipliers if pattern.fullmatch(path)), 1.0)


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _compile(multipliers: Mapping[str, float] | Sequence[tuple[str, float]]) -> tuple[tuple[re.Pattern, float], ...]:
    compiled = []
    for pattern, factor in dict(multipliers).items():
        try:
            compiled.append((re.compile(pattern), float(factor)))
        except re.error as error:
            raise UserError(f"optimizer.multipliers: {pattern!r} is no regular expression ({error})") from error
    return tuple(compiled)
