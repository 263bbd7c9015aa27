"""What a user asks of a model. One file a task; the same class serves training, evaluation, prediction and the page."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from unimedvlp.errors import UserError
from unimedvlp.records import Record
from unimedvlp.tokens import sequences
from unimedvlp.tokens.space import TokenSpace


@dataclasses.dataclass(frozen=True)
class Task:
    """A task: which record fields it needs, what the encoder sees, and its sequence with the inverse.

    A record may hold several units of a task (questions, findings); training draws one, evaluation takes all.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]  # record fields that must not be empty
    shows: ClassVar[tuple[str, ...]]  # "images" and/or "text": what the encoder sees

    def units(self, record: Record) -> Sequence[Any]:
        """What of the record can be asked, possibly nothing; each unit is given back to `sequence` and `truth`."""
        return (None,)

    def sequence(self, record: Record, unit: Any, space: TokenSpace) -> sequences.Sequence:
        """Context, prompt and response ids of one unit."""
        raise TypeError(f"{type(self).__name__} defines no sequence")

    def truth(self, record: Record, unit: Any) -> dict[str, Any]:
        """What a prediction is compared with, as plain values for tables and pages."""
        raise TypeError(f"{type(self).__name__} defines no truth")

    def read(self, response: Iterable[int], space: TokenSpace) -> Any:
        """The inverse of a response: generated ids -> prediction; None where they are malformed."""
        raise TypeError(f"{type(self).__name__} reads no response")

    def serves(self, record: Record) -> bool:
        """Whether the record holds what the task needs."""
        return all(len(getattr(record, field)) > 0 for field in self.needs) and len(self.units(record)) > 0


def names() -> list[str]:
    """Names of all tasks: the modules of this package."""
    import unimedvlp.tasks as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base")


def build(config: str | Mapping[str, Any]) -> Task:
    """A task by name, or by a mapping with `name` and its options, as configs give it."""
    options = {"name": config} if isinstance(config, str) else dict(config)
    name = options.pop("name", None)
    if name not in names():
        raise UserError(f"unknown task {name!r}; known: {', '.join(names())}")
    task = importlib.import_module(f"unimedvlp.tasks.{name}").TASK
    known = {field.name for field in dataclasses.fields(task)}
    if unknown := set(options) - known:
        raise UserError(f"task {name}: unknown option {sorted(unknown)}; known: {sorted(known)}")
    return task(**{key: tuple(value) if isinstance(value, (list, tuple)) else value for key, value in options.items()})
