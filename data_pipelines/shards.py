"""ArrayRecord shards with TFDS metadata, written record by record in one pass, without TensorFlow."""

import os
from pathlib import Path

import tensorflow_datasets as tfds
from array_record.python import array_record_module

from unimedvlp import records
from unimedvlp.records import Record

SHARD_BYTES = 256 * 2**20


class ShardWriter:
    """Writes the records of several splits into `folder`; `close` adds the metadata that makes it readable.

    Every record is its own group (group_size:1), so that any one can be read without its neighbours. The result is what
    `tfds.builder_from_directory` reads; the builder config of TFDS is the split protocol.
    """

    def __init__(self, folder: Path, name: str, protocol: str, version: str, about: str, licence: str):
        self.folder = folder
        self._features = records.features()
        identity = tfds.core.DatasetIdentity(
            name=name,
            version=tfds.core.Version(version),
            data_dir=os.fspath(folder),
            module_name=f"data_pipelines.datasets.{name}",
            config_name=protocol,
            config_description=about,
        )
        self._info = tfds.core.DatasetInfo(
            builder=identity, description=about, features=self._features, license=licence, disable_shuffling=True
        )
        self._info.set_file_format("array_record")
        self._splits: dict[str, _Split] = {}

    def add(self, split: str, record: Record) -> None:
        """Append one record. A full disk may show only when a shard is closed (RuntimeError of array_record)."""
        if split not in self._splits:
            self._splits[split] = _Split(self.folder, split)
        example = self._features.encode_example(records.to_example(record))
        self._splits[split].add(self._features.serialize_example(example))

    def close(self) -> None:
        """Finish the shards, give them their final names and write `dataset_info.json` and `features.json`."""
        template = tfds.core.ShardedFileTemplate(
            data_dir=os.fspath(self.folder), dataset_name=self._info.name, filetype_suffix="array_record"
        )
        infos = []
        for split in self._splits.values():
            split.close_shard()
            named = template.replace(split=split.name)
            for i, path in enumerate(split.paths):
                path.rename(self.folder / named.relative_filepath(shard_index=i, num_shards=len(split.paths)))
            infos.append(tfds.core.SplitInfo(split.name, split.lengths, split.bytes, named))
        self._info.set_splits(tfds.core.SplitDict(infos))
        self._info.write_to_directory(self.folder)


class _Split:
    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.paths: list[Path] = []
        self.lengths: list[int] = []
        self.bytes = 0
        self._writer = None
        self._left = 0

    def add(self, data: bytes) -> None:
        if self._writer is None:
            self.paths.append(self.folder / f"{self.name}-{len(self.paths):05d}.part")
            self.lengths.append(0)
            self._writer = array_record_module.ArrayRecordWriter(os.fspath(self.paths[-1]), "group_size:1")
            self._left = SHARD_BYTES
        self._writer.write(data)
        self.lengths[-1] += 1
        self.bytes += len(data)
        self._left -= len(data)
        if self._left <= 0:
            self.close_shard()

    def close_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
