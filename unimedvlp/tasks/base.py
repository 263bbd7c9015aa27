"""What a user asks of a model. One file a task; the same class serves training, evaluation, prediction and the page."""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation.bootstrap import Metric
from unimedvlp.evaluation.samples import Mark
from unimedvlp.records import Record
from unimedvlp.systems.base import Regions
from unimedvlp.tokens import grammar, sequences
from unimedvlp.tokens.grammar import Automaton
from unimedvlp.tokens.space import TokenSpace


class Sure(NamedTuple):
    """How sure a system is of what it wrote, token by token: the likeliest class's id int `[R]` and its probability `[R]`."""

    classes: np.ndarray
    probability: np.ndarray


@dataclasses.dataclass(frozen=True)
class Samples:
    """The units of one split: what is true of each, the record it belongs to, and a trivial view of its image.

    `pixels()` gives float32 `[N, D]`, a thumbnail of each unit's first image; it is called by image baselines only. `units` are what
    the task was asked of each record.
    """

    truths: Sequence[dict[str, Any]]
    records: np.ndarray  # int [N]
    pixels: Callable[[], np.ndarray]
    units: Sequence[Any] = ()

    def take(self, places: Sequence[int]) -> "Samples":
        """The units at some places."""
        places = np.asarray(places, int)
        units = [self.units[i] for i in places] if len(self.units) else ()
        return Samples([self.truths[i] for i in places], self.records[places], lambda: self.pixels()[places], units)

    def column(self, key: str) -> list[Any]:
        """One field of every truth."""
        return [truth[key] for truth in self.truths]


@dataclasses.dataclass(frozen=True)
class Reference:
    """What scoring may look at besides the scored samples: training units, and validation units to choose by.

    `predictions` are the scored system's own on the validation units; thresholds come from these.
    """

    train: Samples
    validation: Samples | None = None
    predictions: Sequence[Any] | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """A task: which record fields it needs, what the encoder sees, its sequence with the inverse, and how it is scored.

    A record may hold several units of a task (questions, findings); training draws one, evaluation takes all. A task with
    `choices` is answered by one token among these: its prediction is {name: probability}; others are written, and a
    prediction is what `read` makes of the response.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]  # record fields that must not be empty
    uses: ClassVar[tuple[str, ...]] = ()  # boxes or masks that it looks at where a record has them
    shows: ClassVar[tuple[str, ...]]  # "images" and/or "text": what the encoder sees
    headline: ClassVar[tuple[str, ...]]  # names of the metrics that a table shows; the first one leads
    descriptive: ClassVar[tuple[str, ...]] = ()  # those of them that describe predictions rather than judge them
    lower: ClassVar[tuple[str, ...]] = ()  # those of them of which less is better
    scored: ClassVar[bool] = False  # whether `read` is told how sure the system is of every class that it names
    tunes: ClassVar[bool] = False  # whether `metrics` looks at predictions on validation
    ranks: ClassVar[bool] = False  # whether samples are ranked against each other, see `RetrievalEvaluator`
    kinds: ClassVar[bool] = False  # whether a class that is asked for stands for its kinds, too: "lung" for "left lung"
    labelled: ClassVar[bool] = True  # whether its batches carry the record's annotations

    def units(self, record: Record) -> Sequence[Any]:
        """What of the record can be asked, possibly nothing; each unit is given back to `sequence` and `truth`."""
        return (None,)

    def sequence(
        self, record: Record, unit: Any, space: TokenSpace, rng: np.random.Generator | None = None
    ) -> sequences.Sequence:
        """Context, prompt and response ids of one unit. In training `rng` draws orders, noise and forms of the prompt;
        without it the sequence is the plain one."""
        raise TypeError(f"{type(self).__name__} defines no sequence")

    def texts(self, record: Record) -> Iterable[str]:
        """Every text that the record's sequences may hold; a tokenizer is trained on these."""
        return ()

    def truth(self, record: Record, unit: Any) -> dict[str, Any]:
        """What a prediction is compared with, as plain values for tables and pages."""
        raise TypeError(f"{type(self).__name__} defines no truth")

    def choices(self, space: TokenSpace) -> dict[str, int] | None:
        """Names and ids of the tokens that can answer; None where the response is written."""
        return None

    def grammar(self, space: TokenSpace, length: int) -> Automaton | None:
        """What a written response of at most `length` tokens may say; None where one token is chosen."""
        return None if self.choices(space) else grammar.build(space.vocabulary, self.name, length=length)

    def read(self, response: Iterable[int], space: TokenSpace, sure: Sure | None = None) -> Any:
        """The inverse of a written response: generated ids -> prediction; None where they are malformed. Tasks that are
        `scored` may be told how sure the system is."""
        raise TypeError(f"{type(self).__name__} reads no response")

    def from_regions(self, found: Regions, names: Sequence[str], unit: Any) -> Any:
        """The prediction for one unit of what a system found in its image, asked for `names` (arrays without B)."""
        raise UserError(f"task {self.name} cannot be answered from regions, only by writing")

    def metrics(self, predictions: Sequence[Any], samples: Samples, reference: Reference) -> list[Metric]:
        """Scores of predictions on samples, larger is better."""
        raise TypeError(f"{type(self).__name__} defines no metrics")

    def baselines(self, reference: Reference, samples: Samples) -> dict[str, Sequence[Any]]:
        """Predictions of trivial methods, by name: what a system must clear before its numbers mean anything."""
        raise TypeError(f"{type(self).__name__} defines no baselines")

    def show(self, prediction: Any, truth: dict[str, Any]) -> dict[str, str]:
        """Readable fields of one sample for a page: at least `prediction` and `truth`."""
        raise TypeError(f"{type(self).__name__} shows nothing")

    def marks(self, prediction: Any, truth: dict[str, Any]) -> Sequence[Mark]:
        """What to paint on a sample's images: the prediction on image 0, the truth on image 1 beside it."""
        return ()

    def drawn(self, prediction: Any, truth: dict[str, Any]) -> Sequence[np.ndarray]:
        """Pictures uint8 `[H, W, C]` that the prediction and the truth are, shown in place of the sample's images."""
        return ()

    def serves(self, record: Record) -> bool:
        """Whether the record holds what the task needs."""
        return all(len(getattr(record, field)) > 0 for field in self.needs) and len(self.units(record)) > 0


def names() -> list[str]:
    """Names of all tasks: the modules of this package."""
    import unimedvlp.tasks as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base")


def build(config: str | Mapping[str, Any]) -> Task:
    """A task by name, or by a mapping with `name` and its options, as configs give it."""
    from unimedvlp import config as configs

    options = {"name": config} if isinstance(config, str) else dict(config)
    name = options.pop("name", "")
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        raise UserError(f"unknown task {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {names()}"))
    return configs.build(importlib.import_module(f"unimedvlp.tasks.{name}").TASK, options, f"task {name}")
