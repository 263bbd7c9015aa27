"""Random access to a prepared split, and what is said when it is damaged."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines.builder import folder_of, prepare
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.read import PreparedSplit
from unimedvlp.errors import UserError
from unimedvlp.records import Record, from_example


@pytest.fixture
def folder(tmp_path):
    builder = Synthetic(studies=25, size=48)
    prepare(builder, None, tmp_path)
    return folder_of(builder, tmp_path, "by-patient")


def shard(folder):
    return next(folder.glob("*train*"))


def test_one_and_many_agree(folder):
    split = PreparedSplit(folder, "train")
    ids = [record.study_id for record in split]
    assert len(ids) == len(split) > 10
    assert [record.study_id for record in split.__getitems__([3, 0, -1 % len(split)])] == [ids[3], ids[0], ids[-1]]
    assert split[-1].study_id == ids[-1] and split[2].images[0].startswith(b"\x89PNG")
    with pytest.raises(IndexError):
        split[len(split)]


def test_records_are_those_that_tfds_decodes(folder):
    for split in ("train", "test"):
        through_tfds = map(from_example, tfds.builder_from_directory(folder).as_data_source(split=split))
        for ours, theirs in zip(PreparedSplit(folder, split), through_tfds, strict=True):
            for field in dataclasses.fields(Record):
                np.testing.assert_equal(getattr(ours, field.name), getattr(theirs, field.name))
                assert type(getattr(ours, field.name)) is type(getattr(theirs, field.name))


def test_a_folder_that_is_not_prepared(tmp_path):
    (tmp_path / "image.png").touch()
    with pytest.raises(UserError, match=r"expected dataset_info.json .* found image.png"):
        PreparedSplit(tmp_path, "train")


def test_an_absent_split(folder):
    with pytest.raises(UserError, match="no split 'val'; it has train"):
        PreparedSplit(folder, "val")


DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "overwritten": lambda data: data[:1000] + bytes(byte ^ 0x55 for byte in data[1000:3000]) + data[3000:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_corrupt_shard_is_named(folder, damage):
    path = shard(folder)
    path.write_bytes(damage(path.read_bytes()))
    split = PreparedSplit(folder, "train")
    for read in (lambda: list(split), lambda: split.__getitems__(range(len(split)))):
        with pytest.raises(UserError, match=rf"{path.name} is corrupt .*--overwrite"):
            read()


def test_a_missing_shard_is_named(folder):
    shard(folder).unlink()
    with pytest.raises(UserError, match=r"shard synthetic-train.* is missing"):
        PreparedSplit(folder, "train")


def test_threads_read_the_same_records(folder):
    split = PreparedSplit(folder, "train")
    ids = [record.study_id for record in split]
    order = list(range(len(split))) * 8
    with ThreadPoolExecutor(8) as pool:
        assert [record.study_id for record in pool.map(split.__getitem__, order)] == ids * 8
