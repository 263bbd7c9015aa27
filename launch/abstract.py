"""The training step of a config without data: state and batch as shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from data_pipelines import slots
from data_pipelines.batch import BatchSpec, Example, collate
from unimedvlp import config as configs
from unimedvlp import systems, tasks
from unimedvlp.parallel.rules import batch_sharding
from unimedvlp.records import Record
from unimedvlp.tokens import text
from unimedvlp.tokens.sequences import Sequence
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import BOS, EOS
from unimedvlp.training import optimizers
from unimedvlp.training.state import TrainState, abstract_state
from unimedvlp.training.step import make_train_step


@dataclasses.dataclass(frozen=True)
class _Size:
    """A tokenizer of which only the number of ids is known."""

    size: int

    def encode(self, words: str) -> list[int]:
        """One id a word."""
        return [0] * len(words.split())

    def word_starts(self) -> np.ndarray:
        """Every id begins a word."""
        return np.ones(self.size, bool)


def train_step(config: Any, mesh: Mesh, batch: int) -> tuple[Callable, TrainState, dict[str, jax.ShapeDtypeStruct]]:
    """The jitted step of a config on a mesh, the state and a global batch of `batch` rows, both abstract and sharded."""
    spec = configs.build(BatchSpec, config.data.spec, "data.spec")
    space = token_space(config, spec)
    system = systems.build(config.system, space, spec.image_size, spec.views)
    shapes = batch_shapes(spec, space, batch, mesh)
    optimizer = optimizers.make(config.optimizer, config.steps)
    state = abstract_state(system, optimizer, shapes, mesh, ema=bool(config.ema))
    step = make_train_step(system, optimizer, state, mesh, accumulate=config.accumulate, ema_decay=config.ema or None)
    return step, state, shapes


def token_space(config: Any, spec: BatchSpec) -> TokenSpace:
    """The token space that training would make, as far as it is known without records: classes named in the config, and the
    tokenizer's folder or size."""
    options = dict(config.tokenizer)
    chosen = [
        tasks.build({"name": name, **options})
        for entry in config.data.train.values()
        for name, options in entry.tasks.items()
    ]
    named = {name for task in chosen for name in getattr(task, "classes", ())}
    named |= set(spec.labels) | set(config.system.get("labels", ()))
    tokenizer = text.load(options["folder"]) if options.get("folder") else _Size(options["size"])
    return TokenSpace.create(sorted(named), tokenizer)


def batch_shapes(spec: BatchSpec, space: TokenSpace, size: int, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays of a global batch of `size` rows."""
    noted: Mapping[str, np.ndarray] = {}
    if spec.annotated:
        noted, _ = slots.annotations(Record("none"), space.vocabulary, spec.objects, spec.mask_size, spec.labels)
    row = Example(
        np.zeros(spec.image_shape, np.uint8),
        np.ones(spec.views, bool),
        (Sequence([], [BOS], [EOS]),),
        0,
        0,
        0,
        annotations=noted,
    )
    sharding = batch_sharding(mesh)
    return {
        name: jax.ShapeDtypeStruct((size, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype), sharding=sharding)
        for name, x in collate([row], spec).items()
    }
