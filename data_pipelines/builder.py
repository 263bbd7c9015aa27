"""From an owner's files to prepared records: what every data set shares.

A data set is a subclass of `Builder` in a file of its own under `data_pipelines/datasets`: where it comes from, its licence
and native layout in the module docstring, its protocols, and `records`, which reads the native files. `prepare` does the rest.
"""

import contextlib
import dataclasses
import errno
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from data_pipelines.protocols import Protocol, Rule
from data_pipelines.shards import ShardWriter
from data_pipelines.summary import Ledger, SetAside, Summary
from unimedvlp.errors import UserError
from unimedvlp.records import Record, problems

DONE = "dataset_info.json"


def option(default: Any, help: str) -> Any:
    """A field of a builder that `prepare` takes as --NAME, with the line that --help shows."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class Builder:
    """A data set. Fields of a subclass are its options and go into the summary; the first protocol is the default."""

    name: ClassVar[str]
    version: ClassVar[str]
    licence: ClassVar[str]
    protocols: ClassVar[Mapping[str, Protocol]]
    needs_source: ClassVar[bool] = True

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """Every record of the native files, in a fixed order, and what had to be left out.

        Raises UserError where the layout is not the native one, saying what was expected and found.
        """
        raise TypeError(f"{type(self).__name__} reads no records")


def folder_of(builder: Builder, out: Path, protocol: str) -> Path:
    """Where a prepared data set lies: OUT/NAME/PROTOCOL/VERSION."""
    return Path(out) / builder.name / protocol / builder.version


def prepare(
    builder: Builder,
    source: Path | None,
    out: Path,
    protocol: str = "",
    limit: int | None = None,
    overwrite: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Summary:
    """Read `source`, write shards under `out` and return the summary; what is already there is left as it is.

    `limit` stops after so many records. Everything is written to a folder beside the final one and renamed at the end, so
    an interrupted run leaves nothing that looks finished; the next one clears it away.
    """
    protocol = protocol or next(iter(builder.protocols))
    if protocol not in builder.protocols:
        raise UserError(f"{builder.name} has no protocol {protocol!r}; known: {', '.join(builder.protocols)}")
    final, rule = folder_of(builder, out, protocol), builder.protocols[protocol]
    summary = Summary(
        name=builder.name, protocol=protocol, about=rule.about, version=builder.version, licence=builder.licence,
        options=dataclasses.asdict(builder), limit=limit, leaks=rule.leaks, expected=dict(rule.expected),
        counted=rule.counted,
    )  # fmt: skip
    if (final / DONE).is_file() and not overwrite:
        return _existing(final, summary)
    if builder.needs_source and (source is None or not Path(source).is_dir()):
        raise UserError(
            f"{builder.name}: --source {source} is not a folder; it should hold the data set as its owner ships it"
        )
    ledger = Ledger(summary)
    with _scratch(final) as scratch, _disk(final):
        writer = ShardWriter(scratch, builder.name, protocol, builder.version, rule.about, builder.licence)
        root = Path(source) if source else Path()
        items, place = builder.records(root, protocol), rule.bind(root)
        for split, record in progress(_accepted(items, place, ledger, limit)):
            ledger.enter(split, record)
            writer.add(split, record)
        if not ledger.written:
            raise UserError(f"{builder.name}: no record in {source} belongs to protocol {protocol}; {ledger.reasons()}")
        writer.close()
        ledger.close(scratch)
        if final.exists():
            shutil.rmtree(final)
        scratch.rename(final)
    return summary


def _accepted(
    items: Iterable[Record | SetAside], place: Rule, ledger: Ledger, limit: int | None
) -> Iterator[tuple[str, Record]]:
    """(split, record) of everything sound that the protocol wants; the rest goes to the ledger."""
    seen: set[str] = set()
    for item in items:
        if limit is not None and ledger.written >= limit:
            return
        if isinstance(item, SetAside):
            ledger.aside.append(item)
            continue
        split = place(item)
        if split is None:
            ledger.summary.not_in_protocol += 1
            continue
        record, faults = _readable(item)
        ledger.aside += faults
        if record is None:
            continue
        found = ["a second record with this study_id"] if record.study_id in seen else problems(record)
        if found:
            ledger.aside.append(SetAside(record.study_id, "; ".join(found), record.source))
            continue
        seen.add(record.study_id)
        yield split, record


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


def _existing(final: Path, wanted: Summary) -> Summary:
    there = Summary.load(final)
    if (there.options, there.limit) != (wanted.options, wanted.limit):
        raise UserError(
            f"{final} was made with other options ({there.options}, limit {there.limit}); "
            "add --overwrite to replace it, or choose another --out"
        )
    return there


@contextlib.contextmanager
def _scratch(final: Path) -> Iterator[Path]:
    """An empty folder beside `final`, held by a lock; what an interrupted run left in it is cleared away."""
    scratch = final.parent / f"incomplete.{final.name}"
    scratch.mkdir(parents=True, exist_ok=True)
    lock = os.open(scratch, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(f"another prepare is writing {final}; wait for it to end") from None
    try:
        for path in scratch.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def _disk(final: Path) -> Iterator[None]:
    """Turn a full disk into one clear line; array_record reports it as a RuntimeError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if not full:
            raise
        raise UserError(f"no space left for {final}; free some or choose another --out") from error
