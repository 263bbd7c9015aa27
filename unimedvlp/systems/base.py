"""What training, evaluation and prediction ask of a system, and how a config names one."""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Protocol

import jax

from unimedvlp.errors import UserError
from unimedvlp.models.generate import Grammar, Method
from unimedvlp.tokens.vocabulary import Vocabulary

Params = Mapping[str, Any]
Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]


class System(Protocol):
    """A paper's method: pure functions of (params, batch, rng). What it cannot do raises a `UserError` that says so."""

    def init(self, rng: jax.Array, batch: Batch) -> Params:
        """Parameters, boxed with their logical axis names."""

    def loss(self, params: Params, batch: Batch, rng: jax.Array, *, train: bool) -> tuple[jax.Array, Metrics]:
        """All passes and objectives: a float32 scalar, and every term by name.

        A system with running statistics keeps them as `params["statistics"]` and returns the new ones under "statistics".
        """

    def generate(
        self,
        params: Params,
        batch: Batch,
        rng: jax.Array,
        method: Method,
        length: int,
        allowed: Grammar | None = None,
    ) -> jax.Array:
        """Response ids `[B, length]` for the prompts of a batch, such as the grammar `allowed` lets through."""

    def first_logits(self, params: Params, batch: Batch) -> jax.Array:
        """Logits `[B, V]` of the first response token, float32: scores for tasks that choose among single tokens."""


def names() -> list[str]:
    """Names of all systems: the modules of this package."""
    import unimedvlp.systems as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base")


def build(config: Mapping[str, Any], vocabulary: Vocabulary, image_size: int, views: int) -> System:
    """The system that a config names; its other keys are the system's fields."""
    options = dict(config)
    name = options.pop("name", "")
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        raise UserError(f"unknown system {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {names()}"))
    module = importlib.import_module(f"unimedvlp.systems.{name}")
    return module.from_config(options, vocabulary, image_size, views)
