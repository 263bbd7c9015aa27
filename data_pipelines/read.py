"""Random access to prepared records."""

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from unimedvlp.errors import UserError
from unimedvlp.records import Record, from_example

_TEXTS = {field.name for field in dataclasses.fields(Record) if field.type is str}
_AT_ONCE = 64  # records that a walk over a split reads in one call


class PreparedSplit:
    """One split of a prepared folder as a lazy sequence of records; usable as a Grain data source, by several threads.

    Raises UserError for a folder that `prepare` did not write, an absent split, and a missing or corrupt shard by name.
    """

    def __init__(self, folder: str | Path, split: str):
        self.folder, self.split = Path(folder), split
        if not (self.folder / "dataset_info.json").is_file():
            found = ", ".join(sorted(path.name for path in self.folder.glob("*"))[:6]) or "nothing"
            raise UserError(
                f"{folder} is no prepared data set: expected dataset_info.json as `prepare` writes it, found {found}"
            )
        builder = tfds.builder_from_directory(self.folder)
        if split not in builder.info.splits:
            raise UserError(f"{folder} has no split {split!r}; it has {', '.join(builder.info.splits)}")
        info = builder.info.splits[split]
        self._shards = [Path(path) for path in info.filepaths]
        self._ends = list(itertools.accumulate(info.shard_lengths))
        if missing := [path.name for path in self._shards if not path.is_file()]:
            raise UserError(f"{folder}: shard {missing[0]} is missing; prepare the data set again with --overwrite")
        self._source = builder.as_data_source(split=split).data_source  # the bytes of each record

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Record:
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        index %= len(self)
        try:
            return parse(self._source[index])
        except RuntimeError as error:
            shard = self._shards[bisect.bisect(self._ends, index)]
            raise UserError(f"{shard} is corrupt ({error}); prepare the data set again with --overwrite") from error

    def __getitems__(self, indices: Iterable[int]) -> list[Record]:
        """Several records in one call, which is faster than one by one."""
        indices = [int(index) for index in indices]
        try:
            return [parse(data) for data in self._source.__getitems__(indices)]
        except RuntimeError:
            return [self[index] for index in indices]  # names the shard

    def __iter__(self) -> Iterator[Record]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self.__getitems__(range(start, min(start + _AT_ONCE, len(self))))

    def __repr__(self) -> str:
        return f"PreparedSplit({str(self.folder)!r}, {self.split!r})"


def parse(data: bytes) -> Record:
    """A record from the bytes of its `tf.train.Example`, as `shards.serialise` makes them.

    The same as through the feature decoders of TFDS, which take four times as long over it.
    """
    example: dict[str, Any] = {}
    for name, feature in tf_example_pb2.Example.FromString(data).features.feature.items():
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value if kind else ()
        field, _, part = name.partition("/")
        if part:
            example.setdefault(field, {})[part] = values
        else:
            example[field] = values[0] if field in _TEXTS else values
    return from_example(example)
