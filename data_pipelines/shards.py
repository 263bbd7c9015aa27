"""ArrayRecord shards with TFDS metadata, written record by record in one pass, without TensorFlow.

Every record is its own group (group_size:1), so that any one can be read without its neighbours. A shard is closed before
the record that would take it over the limit, so equal records make equal shards.
"""

import dataclasses
import functools
import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from data_pipelines.protocols import SPLITS
from unimedvlp import records
from unimedvlp.records import Record


@dataclasses.dataclass(frozen=True)
class Shard:
    """A finished shard: the `number`th of its split, with how many records of how many bytes."""

    split: str
    number: int
    records: int
    bytes: int

    def path(self, folder: Path) -> Path:
        """Where it lies until all of its split are finished and it gets its final name."""
        return folder / f"{self.split}-{self.number:05d}.shard"


def serialise(record: Record) -> bytes:
    """A record as shards store it: the example of TFDS, its fields in a fixed order, so that equal records have equal bytes."""
    data = _features().serialize_example(records.to_example(record))
    return tf_example_pb2.Example.FromString(data).SerializeToString(deterministic=True)


def write_shard(shard: Shard, folder: Path, data: Iterable[bytes]) -> None:
    """Write one shard from its serialised records. The file has its name only when it is whole."""
    writer = _Writer(shard.path(folder))
    for item in data:
        writer.write(item)
    writer.close()


class Numbering:
    """Which shard of a split each record goes to, by the sizes of those before it; a shard holds `limit` bytes."""

    def __init__(self, limit: int, number: int = 0):
        self._limit, self._number, self._bytes = limit, number, 0

    def place(self, size: int) -> int:
        """The shard of the next record, which has `size` bytes."""
        if self._bytes and self._bytes + size > self._limit:
            self._number, self._bytes = self._number + 1, 0
        self._bytes += size
        return self._number


class ShardWriter:
    """Writes the serialised records of several splits into `folder`, each split in order.

    Records that `finished` shards hold already are passed over. `note` hears of every further shard once it is whole.
    """

    def __init__(self, folder: Path, limit: int, finished: Sequence[Shard], note: Callable[[Shard], None]):
        self.folder, self._limit, self._note = folder, limit, note
        self._splits: dict[str, _Split] = {}
        for shard in finished:
            self._split(shard.split).shards.append(shard)
        for split in self._splits.values():
            split.resume(limit)

    def add(self, split: str, data: bytes) -> None:
        """Append one record. A full disk may show only when a shard is closed (RuntimeError of array_record)."""
        if shard := self._split(split).add(data):
            self._note(shard)

    def close(self, name: str, protocol: str, version: str, about: str, licence: str) -> None:
        """Finish the shards, give them their final names and write `dataset_info.json` and `features.json`.

        The result is what `tfds.builder_from_directory` reads; the builder config of TFDS is the split protocol.
        """
        identity = tfds.core.DatasetIdentity(
            name=name,
            version=tfds.core.Version(version),
            data_dir=os.fspath(self.folder),
            module_name=f"data_pipelines.datasets.{name}",
            config_name=protocol,
            config_description=about,
        )
        info = tfds.core.DatasetInfo(
            builder=identity, description=about, features=_features(), license=licence, disable_shuffling=True
        )
        info.set_file_format("array_record")
        template = tfds.core.ShardedFileTemplate(
            data_dir=os.fspath(self.folder), dataset_name=name, filetype_suffix="array_record"
        )
        splits = []
        for split in sorted(self._splits.values(), key=lambda split: SPLITS.index(split.name)):
            if shard := split.close():
                self._note(shard)
            named = template.replace(split=split.name)
            for shard in split.shards:
                final = named.relative_filepath(shard_index=shard.number, num_shards=len(split.shards))
                shard.path(self.folder).rename(self.folder / final)
            lengths = [shard.records for shard in split.shards]
            splits.append(tfds.core.SplitInfo(split.name, lengths, sum(shard.bytes for shard in split.shards), named))
        info.set_splits(tfds.core.SplitDict(splits))
        info.write_to_directory(self.folder)

    def _split(self, name: str) -> "_Split":
        if name not in self._splits:
            self._splits[name] = _Split(self.folder, name, self._limit)
        return self._splits[name]


class _Split:
    def __init__(self, folder: Path, name: str, limit: int):
        self.folder, self.name = folder, name
        self.shards: list[Shard] = []  # finished ones
        self._there = 0  # records of finished shards that are still to be passed over
        self._numbering = Numbering(limit)
        self._shard = Shard(name, 0, 0, 0)  # the one being written
        self._writer: _Writer | None = None

    def resume(self, limit: int) -> None:
        self._there = sum(shard.records for shard in self.shards)
        self._numbering = Numbering(limit, len(self.shards))

    def add(self, data: bytes) -> Shard | None:
        """Append a record; returns the shard that was closed before it, if one was."""
        if self._there:
            self._there -= 1
            return None
        number = self._numbering.place(len(data))
        closed = self.close() if number != self._shard.number else None
        if self._writer is None:
            self._shard = Shard(self.name, number, 0, 0)
            self._writer = _Writer(self._shard.path(self.folder))
        self._writer.write(data)
        self._shard = Shard(self.name, number, self._shard.records + 1, self._shard.bytes + len(data))
        return closed

    def close(self) -> Shard | None:
        if self._writer is None:
            return None
        self._writer.close()
        self._writer = None
        self.shards.append(self._shard)
        return self._shard


class _Writer:
    """An ArrayRecord file that has its name only once it is whole and on disk."""

    def __init__(self, path: Path):
        self._path, self._draft = path, path.with_suffix(f".{uuid.uuid4().hex}.part")
        self._writer = array_record_module.ArrayRecordWriter(os.fspath(self._draft), "group_size:1")

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()
        with self._draft.open("rb") as file:
            os.fsync(file.fileno())
        self._draft.rename(self._path)


@functools.cache
def _features() -> Any:
    return records.features()
