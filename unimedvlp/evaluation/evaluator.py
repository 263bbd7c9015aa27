"""One evaluator for every task and both decoders: predictions of a system on one split, and their scores."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from unimedvlp.errors import UserError
from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.models.generate import Method
from unimedvlp.objects import is_a
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.parallel.rules import activate, replicated
from unimedvlp.systems.base import RegionSystem, System
from unimedvlp.tasks.base import Reference, Samples, Sure, Task
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import CLASS_START

DECODERS = ("composed", "decomposed")


@dataclasses.dataclass(eq=False)
class Evaluator:
    """A system on the samples of a task. `batches()` yields this host's slices, whose `index` points into `samples`.

    Every host receives the predictions of all. `length` is the longest response in tokens. `decoder` is "composed", which
    writes responses, or "decomposed", which finds regions by class names: the task's classes (all of the registry where it
    has none) and those units that are names. What it finds in an image answers all units of a record, so one unit of each is
    enough in `batches`.
    """

    system: System
    task: Task
    space: TokenSpace
    samples: Samples
    batches: Callable[[], Iterable[dict[str, np.ndarray]]]
    reference: Reference
    mesh: Mesh
    length: int
    method: Method
    decoder: str = "composed"

    def __post_init__(self):
        if self.decoder not in DECODERS:
            raise UserError(f"unknown decoder {self.decoder!r}; known: {', '.join(DECODERS)}")
        if self.decoder == "decomposed" and not isinstance(self.system, RegionSystem):
            raise UserError(f"{type(self.system).__name__} has no decomposed decoder; choose the composed one")
        self._grammar = self.task.grammar(self.space, self.length) if self.decoder == "composed" else None
        self._names = asked_names(self.task, self.space, self.samples.units)
        self._step = jax.jit(self._outputs, out_shardings=replicated(self.mesh))

    def predict(self, params: Any) -> tuple[list[Any], Samples]:
        """Predictions, and the samples that they are of: all but those cut by a limit or set aside as unreadable."""
        found = {}
        for batch in self.batches():
            batch = global_batch(
                {key: batch[key] for key in batch if key not in ("dataset", "task", "segment")}, self.mesh
            )
            outputs, index, valid = jax.device_get(self._step(params, batch))
            for row, (place, real) in enumerate(zip(index, valid, strict=True)):
                if real:
                    output = jax.tree.map(lambda x, i=row: x[i], outputs)
                    found |= {i: self._prediction(output, i) for i in self._answered(int(place))}
        if not found:
            raise UserError(f"task {self.task.name}: not one sample could be read")
        places = sorted(found)
        return [found[place] for place in places], self.samples.take(places)

    def run(self, params: Any) -> Iterator[tuple[str, Value]]:
        """(name, value) of every metric, with intervals over the samples."""
        predictions, samples = self.predict(params)
        for metric in self.task.metrics(predictions, samples, self.reference):
            yield from metric.values().items()

    def headline(self, params: Any) -> dict[str, float]:
        """The task's headline metrics that are defined, without intervals: what training logs."""
        predictions, samples = self.predict(params)
        points: dict[str, float] = {}
        for metric in self.task.metrics(predictions, samples, self.reference):
            points |= metric.point()
        return {name: points[name] for name in self.task.headline if not np.isnan(points[name])}

    def _outputs(self, params: Any, batch: dict[str, jax.Array]):
        with activate(self.mesh):
            if self.decoder == "decomposed":
                names = map(jnp.asarray, self.space.encode_names(self._names))
                outputs = self.system.regions(params, batch, *names)
            elif choices := self.task.choices(self.space):
                logits = self.system.first_logits(params, batch)[:, np.array(list(choices.values()))]
                outputs = jax.nn.softmax(logits.astype(jnp.float32))
            else:
                rng, method = jax.random.key(0), self.method
                outputs = self.system.generate(params, batch, rng, method, self.length, self._grammar)
                if self.task.scored:
                    outputs = outputs, how_sure(self.system.response_logits(params, batch, outputs), self.space)
        return outputs, batch["index"], batch["_mask"]

    def _answered(self, place: int) -> Sequence[int]:
        """The samples that the outputs for one of them answer."""
        if self.decoder == "composed":
            return (place,)
        return np.flatnonzero(self.samples.records == self.samples.records[place]).tolist()

    def _prediction(self, output: Any, place: int) -> Any:
        """What the task makes of one row of outputs: regions, probabilities of choices, or a response."""
        if self.decoder == "decomposed":
            return self.task.from_regions(output, self._names, self.samples.units[place])
        if choices := self.task.choices(self.space):
            return dict(zip(choices, map(float, output), strict=True))
        return (
            self.task.read(output[0], self.space, output[1]) if self.task.scored else self.task.read(output, self.space)
        )


def asked_names(task: Task, space: TokenSpace, units: Iterable[Any]) -> list[str]:
    """The class names that a decomposed decoder is asked for; where the task wants it, all their kinds that are known."""
    known = list(space.vocabulary.classes)
    names = [*(getattr(task, "classes", ()) or known), *(unit for unit in units if isinstance(unit, str))]
    kinds = [one for one in known if task.kinds and any(is_a(one, name) for name in names)]
    return list(dict.fromkeys([*names, *kinds]))


def how_sure(logits: jax.Array, space: TokenSpace) -> Sure:
    """The likeliest class of every token of logits `[B, R, V]` and its probability among all tokens, as ids and float32
    `[B, R]`."""
    probabilities = jax.nn.softmax(logits.astype(jnp.float32))
    classes = probabilities[..., CLASS_START : CLASS_START + len(space.vocabulary.classes)]
    return Sure(CLASS_START + jnp.argmax(classes, axis=-1), classes.max(axis=-1))
