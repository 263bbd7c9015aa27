"""One evaluator for every task: predictions of a system on one split, and their scores."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from unimedvlp.errors import UserError
from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.models.generate import Method
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.parallel.rules import activate, replicated
from unimedvlp.systems.base import System
from unimedvlp.tasks.base import Reference, Samples, Task
from unimedvlp.tokens.space import TokenSpace


@dataclasses.dataclass(eq=False)
class Evaluator:
    """A system on the samples of a task. `batches()` yields this host's slices, whose `index` points into `samples`.

    Every host receives the predictions of all. `length` is the longest response in tokens.
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

    def __post_init__(self):
        self._grammar = self.task.grammar(self.space, self.length)
        self._step = jax.jit(self._outputs, out_shardings=replicated(self.mesh))

    def predict(self, params: Any) -> tuple[list[Any], Samples]:
        """Predictions, and the samples that they are of: all but those cut by a limit or set aside as unreadable."""
        choices, found = self.task.choices(self.space), {}
        for batch in self.batches():
            batch = global_batch(
                {key: batch[key] for key in batch if key not in ("dataset", "task", "segment")}, self.mesh
            )
            outputs, index, valid = jax.device_get(self._step(params, batch))
            for row, place, real in zip(outputs, index, valid, strict=True):
                if real and choices:
                    found[int(place)] = dict(zip(choices, map(float, row), strict=True))
                elif real:
                    found[int(place)] = self.task.read(row, self.space)
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
            choices = self.task.choices(self.space)
            if choices:
                logits = self.system.first_logits(params, batch)[:, np.array(list(choices.values()))]
                outputs = jax.nn.softmax(logits.astype(jnp.float32))
            else:
                outputs = self.system.generate(
                    params, batch, jax.random.key(0), self.method, self.length, self._grammar
                )
        return outputs, batch["index"], batch["_mask"]
