"""A system beside its trivial baselines and its shuffled-image control, on the same samples."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.tasks.base import Reference, Samples, Task

MODEL, SHUFFLED = "model", "model, images shuffled"


@dataclasses.dataclass(frozen=True)
class Entrant:
    """One method's predictions on the samples, and on validation where the task chooses thresholds there."""

    predictions: Sequence[Any]
    validation: Sequence[Any] | None = None
    trivial: bool = False


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All entrants of one task on one split, `MODEL` among them, and what scoring may look at."""

    task: Task
    samples: Samples
    reference: Reference
    entrants: Mapping[str, Entrant]

    def scores(self) -> dict[str, dict[str, Value]]:
        """Every metric of every entrant with its interval."""
        found = {}
        for name, entrant in self.entrants.items():
            values: dict[str, Value] = {}
            for metric in self._metrics(entrant):
                values |= metric.values()
            found[name] = values
        return found

    def gains(self) -> dict[str, dict[str, Value]]:
        """The model minus each other entrant, paired on the same resamples, for the headline metrics."""
        return self._gains

    @functools.cached_property
    def _gains(self) -> dict[str, dict[str, Value]]:
        mine = self._metrics(self.entrants[MODEL])
        found = {}
        for name, entrant in self.entrants.items():
            if name != MODEL:
                values: dict[str, Value] = {}
                for ours, theirs in zip(mine, self._metrics(entrant), strict=True):
                    values |= ours.difference(theirs)
                found[name] = {key: values[key] for key in self.task.headline if key in values}
        return found

    def verdict(self) -> list[str]:
        """One line a headline metric: whether the model is above every trivial baseline, and above shuffled images."""
        gains, lines = self.gains(), []
        rivals = [name for name, entrant in self.entrants.items() if entrant.trivial]
        for metric in self.task.headline:
            if metric in self.task.descriptive:
                continue
            parts = []
            for all_of_them, names in (("every trivial baseline", rivals), ("shuffled images", [SHUFFLED])):
                found = {name: self._better(gains[name][metric], metric) for name in names if name in gains}
                if found:
                    strongest = min(found, key=lambda name: found[name].low)
                    gain = found[strongest]
                    text = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
                    if gain.low > 0:
                        parts.append(f"above {all_of_them} (by {text} at least, over {strongest})")
                    else:
                        word = "below" if gain.high < 0 else "not separated from"
                        parts.append(f"{word} {strongest} ({text})")
            lines.append(f"{metric}: " + "; ".join(parts))
        return lines

    def _better(self, gain: Value, metric: str) -> Value:
        """A gain turned so that more is better."""
        if metric not in self.task.lower:
            return gain
        return Value(-gain.value, -gain.high, -gain.low, gain.count)

    def _metrics(self, entrant: Entrant):
        reference = dataclasses.replace(self.reference, predictions=entrant.validation)
        return self.task.metrics(entrant.predictions, self.samples, reference)


def compare(
    task: Task,
    samples: Samples,
    reference: Reference,
    model: tuple[Sequence[Any], Sequence[Any] | None],
    shuffled: tuple[Sequence[Any], Sequence[Any] | None] | None,
    others: Mapping[str, tuple[Sequence[Any], Sequence[Any] | None]] | None = None,
) -> Comparison:
    """Predictions of a model on samples and validation, of the same on shuffled images and by its `others` ways (a second
    decoder), with all trivial baselines."""
    entrants = {}
    on_validation = task.baselines(reference, reference.validation) if task.tunes and reference.validation else {}
    for name, predictions in task.baselines(reference, samples).items():
        entrants[name] = Entrant(predictions, on_validation.get(name), trivial=True)
    if shuffled is not None:
        entrants[SHUFFLED] = Entrant(*shuffled)
    entrants |= {name: Entrant(*found) for name, found in (others or {}).items()}
    return Comparison(task, samples, reference, entrants | {MODEL: Entrant(*model)})
