"""What a run of `prepare` has got done, kept beside its shards, so that the next run goes on where a kill stopped it."""

import dataclasses
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_pipelines.shards import Shard
from data_pipelines.summary import Entry, Outcome, SetAside

FILE = "journal.jsonl"


class Journal:
    """Lines of JSON: what the run is, the outcomes of each item before they are written, each shard once it is whole.

    A journal of another run, or one whose shards are not all there, is begun anew and the folder emptied. An item is `done`
    if all its records lie in finished shards; the rest is read again, with the same result.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]):
        self.path = folder / FILE
        lines = _whole_lines(self.path)
        self.shards = [Shard(**line["shard"]) for line in lines if "shard" in line]
        whole = all(shard.path(folder).is_file() for shard in self.shards)
        if not (whole and lines and lines[0] == {"run": run}):
            lines, self.shards = [{"run": run}], []
            self.path.write_text(_text(lines))
        known = {FILE, *(shard.path(folder).name for shard in self.shards)}
        for path in folder.iterdir():
            if path.name not in known:
                path.unlink()
        self.done = _done(lines, self.shards)
        self._file = self.path.open("a")

    def note(self, item: int, outcomes: Iterable[Outcome]) -> None:
        """The outcomes of an item; to be called before its records are written."""
        self._file.write(_text([item_line(item, outcomes)]))

    def finish(self, shard: Shard) -> None:
        """A shard is whole; this line is on disk when the call returns."""
        self._file.write(_text([shard_line(shard)]))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write(
    folder: Path, run: Mapping[str, Any], items: Iterable[tuple[int, list[Outcome]]], shards: Iterable[Shard]
) -> None:
    """The journal of a run in which all of this was done elsewhere."""
    lines = [{"run": run}, *(item_line(*item) for item in items), *map(shard_line, shards)]
    (folder / FILE).write_text(_text(lines))


def fingerprint(source: Path) -> str:
    """A digest of names, sizes and times of all files in a folder: another one means that something was changed."""
    found = hashlib.sha256()
    for folder, folders, files in os.walk(source, followlinks=True):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                stat = os.stat(path)
                found.update(
                    f"{path[len(str(source)) :]}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode(errors="surrogateescape")
                )
    return found.hexdigest()


def item_line(item: int, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The line of an item."""
    plain = [outcome and dataclasses.asdict(outcome) for outcome in outcomes]
    return {"item": item, "outcomes": [row and {k: v for k, v in row.items() if k != "data"} for row in plain]}


def shard_line(shard: Shard) -> dict[str, Any]:
    """The line of a shard."""
    return {"shard": dataclasses.asdict(shard)}


def _done(lines: list[dict], shards: list[Shard]) -> dict[int, list[Outcome]]:
    """{number of an item: its outcomes} as far as its records lie in these shards."""
    outcomes = {line["item"]: [_outcome(row) for row in line["outcomes"]] for line in lines if "item" in line}
    there: dict[str, int] = defaultdict(int)
    for shard in shards:
        there[shard.split] += shard.records
    done = {}
    for number in sorted(outcomes):
        split = [outcome.split for outcome in outcomes[number] if isinstance(outcome, Entry)]
        for name in split:
            there[name] -= 1
        if all(there[name] >= 0 for name in split):
            done[number] = outcomes[number]
    return done


def _outcome(row: dict | None) -> Outcome:
    if row is None:
        return None
    return SetAside(**row) if "reason" in row else Entry(**row)


def _whole_lines(path: Path) -> list[dict]:
    """The lines of the file; a last one that was cut off is removed from it."""
    if not path.is_file():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def _text(lines: Iterable[dict]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
