"""From an owner's files to prepared records: what every data set shares.

A data set is a subclass of `Builder` in a file of its own under `data_pipelines/datasets`: where it comes from, its licence
and native layout in the module docstring, its protocols, and `records`, which reads the native files. `prepare` does the rest.
"""

import contextlib
import copy
import dataclasses
import errno
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import unimedvlp
from data_pipelines.journal import Journal, fingerprint
from data_pipelines.parallel import ordered
from data_pipelines.protocols import Protocol
from data_pipelines.shards import ShardWriter
from data_pipelines.summary import Entry, Ledger, Summary
from data_pipelines.work import Item, Work
from unimedvlp.errors import UserError

DONE = "dataset_info.json"
SHARD_MB = 200.0
_log = logging.getLogger(__name__)


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

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """Every record of the native files, in a fixed order, and what had to be left out.

        What takes long, reading images above all, is put off: a `functools.partial` of a function or method that yields the
        records of one study stands in their place, and `prepare` calls it in any process. It must carry little with it.

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
    *,
    resize: int = 0,
    shard_mb: float = SHARD_MB,
    workers: int = 1,
    runner: str = "",
    runner_options: Sequence[str] = (),
) -> Summary:
    """Read `source`, write shards under `out` and return the summary; what is already there is left as it is.

    `limit` stops after so many records; `resize` stores images with a shorter side of so many pixels; a shard holds
    `shard_mb` million bytes. These decide what is written; `workers` processes here, or a `runner` of Apache Beam with its
    options, decide only how fast.

    Everything is written to a folder beside the final one and renamed at the end, so that an interrupted run leaves nothing
    that looks finished. The next one with the same settings and source goes on after its finished shards.
    """
    protocol = protocol or next(iter(builder.protocols))
    if protocol not in builder.protocols:
        raise UserError(f"{builder.name} has no protocol {protocol!r}; known: {', '.join(builder.protocols)}")
    if min(workers, shard_mb) <= 0 or resize < 0:
        raise UserError("prepare: --workers and --shard-mb must be above 0, --resize at least 1")
    final, rule = folder_of(builder, out, protocol), builder.protocols[protocol]
    summary = Summary(
        name=builder.name, protocol=protocol, about=rule.about, version=builder.version, licence=builder.licence,
        options=dataclasses.asdict(builder), limit=limit, resize=resize, leaks=rule.leaks, expected=dict(rule.expected),
        counted=rule.counted,
    )  # fmt: skip
    if (final / DONE).is_file() and not overwrite:
        return _existing(final, summary)
    if builder.needs_source and (source is None or not Path(source).is_dir()):
        raise UserError(
            f"{builder.name}: --source {source} is not a folder; it should hold the data set as its owner ships it"
        )
    work = Work(builder, protocol, Path(source) if source else Path(), resize)
    shard_bytes = int(shard_mb * 10**6)
    run = dataclasses.asdict(summary) | {"shard_bytes": shard_bytes, "code": unimedvlp.__version__}
    run["source"] = fingerprint(work.source) if builder.needs_source else ""
    run = json.loads(json.dumps(run))
    with _scratch(final) as scratch, _disk(final):
        if runner:
            from data_pipelines import on_beam

            on_beam.fill(scratch, run, work, Ledger(copy.deepcopy(summary)), limit, shard_bytes, runner, runner_options)
        ledger, journal = Ledger(summary), Journal(scratch, run)
        if journal.shards and not runner:
            _log.warning("%s: going on after %d finished shards", final, len(journal.shards))
        writer = ShardWriter(scratch, shard_bytes, journal.shards, journal.finish)
        for entry in progress(_entries(work, ledger, journal, limit, workers)):
            writer.add(entry.split, entry.data)
        if not ledger.written:
            raise UserError(f"{builder.name}: no record in {source} belongs to protocol {protocol}; {ledger.reasons()}")
        writer.close(builder.name, protocol, builder.version, rule.about, builder.licence)
        ledger.close(scratch)
        journal.close()
        journal.path.unlink()
        if final.exists():
            shutil.rmtree(final)
        scratch.rename(final)
    return summary


def _entries(work: Work, ledger: Ledger, journal: Journal, limit: int | None, workers: int) -> Iterator[Entry]:
    """Every accepted record in order; what the journal has done is not read again and has no data."""
    items = (None if i in journal.done else item for i, item in enumerate(work.items()))
    for i, outcomes in enumerate(ordered(work.start, items, workers)):
        taken = ledger.take(journal.done[i] if outcomes is None else outcomes, limit)
        if outcomes is not None:
            journal.note(i, taken)
        yield from (outcome for outcome in taken if isinstance(outcome, Entry))
        if ledger.written == limit:
            return


def _existing(final: Path, wanted: Summary) -> Summary:
    there = Summary.load(final)
    settings = [(summary.options, summary.limit, summary.resize) for summary in (there, wanted)]
    if settings[0] != settings[1]:
        raise UserError(
            f"{final} was made with other options ({there.options}, limit {there.limit}, resize {there.resize}); "
            "add --overwrite to replace it, or choose another --out"
        )
    return there


@contextlib.contextmanager
def _scratch(final: Path) -> Iterator[Path]:
    """A folder beside `final`, held by a lock. It stays after an error if it holds finished shards."""
    scratch = final.parent / f"incomplete.{final.name}"
    scratch.mkdir(parents=True, exist_ok=True)
    lock = os.open(scratch, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(f"another prepare is writing {final}; wait for it to end") from None
    try:
        yield scratch
    finally:
        if not any(scratch.glob("*.shard")):
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
