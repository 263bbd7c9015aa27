"""From an item of a builder to what shards and summary need of it: read, checked, made smaller and serialised.

Nothing here looks at other items, so any process on any machine may do it.
"""

import dataclasses
import functools
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from data_pipelines.protocols import Rule
from data_pipelines.shards import serialise
from data_pipelines.shrink import shrink
from data_pipelines.summary import Entry, Outcome, SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import Record, problems

if TYPE_CHECKING:
    from data_pipelines.builder import Builder

Item = Record | SetAside | functools.partial  # a partial gives one or several of the first two, when a worker calls it


@dataclasses.dataclass(frozen=True)
class Work:
    """How to treat the items of a data set; `resize` is the shorter side of stored images, 0 leaves them as they are."""

    builder: "Builder"
    protocol: str
    source: Path
    resize: int = 0

    def items(self) -> Iterator[Item]:
        """The items, in order; cheap."""
        return self.builder.records(self.source, self.protocol)

    def start(self) -> Callable[[Item | None], list[Outcome] | None]:
        """A function from an item to its outcomes; None, an item that was done before, stays None."""
        place = self.builder.protocols[self.protocol].bind(self.source)

        def examine(item: Item | None) -> list[Outcome] | None:
            return (
                None if item is None else [o for found in expand([item]) for o in _outcomes(found, place, self.resize)]
            )

        return examine


def expand(items: Iterable[Item]) -> Iterator[Record | SetAside]:
    """All records and set-asides, those of a partial in its place."""
    for item in items:
        found = item() if isinstance(item, functools.partial) else item
        yield from (found,) if isinstance(found, Record | SetAside) else found


def image_fault(data: bytes) -> str:
    """Why encoded bytes cannot be decoded in full, or "" if they can."""
    if not data:
        return "the file is empty"
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except Image.UnidentifiedImageError:
        return "not an image"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error)
    return ""


def _outcomes(found: Record | SetAside, place: Rule, resize: int) -> Iterator[Outcome]:
    if isinstance(found, SetAside):
        yield found
        return
    split = place(found)
    if split is None:
        yield None
        return
    record, faults = _readable(found)
    yield from faults
    if record is None:
        return
    if wrong := problems(record):
        yield SetAside(record.study_id, "; ".join(wrong), record.source)
        return
    try:
        record = shrink(record, resize) if resize else record
    except UserError as error:
        yield SetAside(record.study_id, f"cannot be made smaller: {error}", record.source)
        return
    yield Entry.of(split, record, serialise(record))


def _readable(record: Record) -> tuple[Record | None, list[SetAside]]:
    """The record with its readable images only, or None if none is left or the annotated one is gone."""
    faults = {i: reason for i, image in enumerate(record.images) if (reason := image_fault(image))}
    aside = [SetAside(record.study_id, f"image left out: {why}", f"view {i}") for i, why in faults.items()]
    if any(image_fault(mask) for mask in record.masks):
        return None, [*aside, SetAside(record.study_id, "unreadable mask", record.source)]
    if not faults:
        return record, aside
    annotated = len(record.boxes) or record.masks
    if len(faults) == len(record.images) or (annotated and 0 in faults):
        return None, [*aside, SetAside(record.study_id, "no readable image", record.source)]
    kept = [i for i in range(len(record.images)) if i not in faults]
    views = tuple(record.views[i] for i in kept)
    return dataclasses.replace(record, images=tuple(record.images[i] for i in kept), views=views), aside
