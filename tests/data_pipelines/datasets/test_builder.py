"""What every data set shares: splits, checks, setting aside, and an output that is whole or absent."""

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import builder as builders
from data_pipelines.builder import Builder, folder_of, prepare
from data_pipelines.protocols import Protocol, by_id_suffix, by_patient
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import SetAside
from data_pipelines.work import image_fault
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Question, Record


class Toy(Builder):
    """Gives what the test put into it."""

    name, version, licence, needs_source = "toy", "1.0.0", "CC0-1.0", False
    protocols: ClassVar = {
        "by-patient": Protocol(by_patient(0), "a test"),
        "suffix": Protocol(by_id_suffix, "a test"),
        "leaky": Protocol(by_id_suffix, "a test", leaks="published so"),
    }

    def __init__(self, *items):
        object.__setattr__(self, "items", items)

    def records(self, source, protocol):
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item


def make(tmp_path, *items, protocol="suffix", **options):
    return prepare(Toy(*items), None, tmp_path, protocol, **options)


def test_every_field_survives_and_tfds_reads_it_without_our_code(tmp_path, picture):
    record = Record(
        "a/train", "p1", (picture(1), picture(2, suffix=".jpg"), picture(3, dtype=np.uint16)), ("frontal", "lateral", "oblique"),
        modality="xray", body_part="chest", indication="cough", findings="Clear. Ödem", impression="Normal.", caption="a caption",
        labels={"edema": NEGATIVE, "mass": POSITIVE}, boxes=np.array([[0.25, 0.5, 0.75, 1]], np.float32), box_classes=("mass",),
        masks=(picture(4),), mask_classes=("mass",),
        qa=(Question("Is it?", "yes", "closed", "presence"), Question("Why?", "because", "open")),
        premise="p", hypothesis="h", relation="neutral", text="t", text_label="l", source="s", licence="x",
    )  # fmt: skip
    make(tmp_path, record, Record("b/test", text="only text"))
    folder = folder_of(Toy(), tmp_path, "suffix")
    read = PreparedSplit(folder, "train")[0]
    for field in dataclasses.fields(Record):
        np.testing.assert_equal(getattr(read, field.name), getattr(record, field.name))
    plain = tfds.builder_from_directory(folder)
    assert plain.info.full_name == "toy/suffix/1.0.0" and plain.info.splits["test"].num_examples == 1
    assert plain.as_data_source(split="test")[0]["text"] in ("only text", b"only text")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1.0.0"]


def test_equal_data_give_equal_summaries(tmp_path, picture):
    items = [Record(f"s{i}", patient_id=f"p{i // 2}", images=(picture(i),), views=("frontal",)) for i in range(40)]
    first = make(tmp_path / "a", *items, protocol="by-patient")
    make(tmp_path / "b", *items, protocol="by-patient")
    texts = [(tmp_path / part / "toy/by-patient/1.0.0/summary.json").read_text() for part in "ab"]
    assert texts[0] == texts[1] and str(tmp_path) not in texts[0]
    assert sum(split["records"] for split in first.splits.values()) == 40
    members = {
        name: {record.patient for record in PreparedSplit(tmp_path / "a/toy/by-patient/1.0.0", name)}
        for name in first.splits
    }
    assert not members["train"] & members["test"] and not members["train"] & members["validation"]


def test_a_patient_on_both_sides_is_refused_by_name(tmp_path):
    shared = (Record("a/train", "p7", text="x"), Record("b/test", "p7", text="y"))
    with pytest.raises(UserError, match=r"patient 'p7' is in both train and test"):
        make(tmp_path, *shared)
    assert not list(Path(tmp_path).rglob("dataset_info.json"))
    assert make(tmp_path, *shared, protocol="leaky").leaks == "published so"


def test_validation_that_is_the_test_set_is_refused(tmp_path):
    items = [Record(f"{split}{i}/{split}", f"p{i}", text="x") for split in ("validation", "test") for i in range(3)]
    with pytest.raises(UserError, match="validation and test hold the same patients"):
        make(tmp_path, *items, protocol="leaky")


def test_unsound_records_are_set_aside_and_listed(tmp_path, picture):
    good, cut = picture(1), picture(2, size=64)[:600]
    summary = make(
        tmp_path,
        Record("good/train", images=(good,), views=("frontal",)),
        Record("good/train", text="again"),
        Record("nothing/train"),
        Record("cut/train", images=(cut,), views=("frontal",)),
        Record("half/train", images=(cut, good), views=("frontal", "lateral")),
        Record(
            "annotated/train",
            images=(cut, good),
            views=("frontal", "lateral"),
            boxes=[[0, 0, 1, 1]],
            box_classes=("x",),
        ),
        Record("text/train", images=(b"hello",), views=("frontal",)),
        Record("empty/train", images=(b"",), views=("frontal",)),
        Record("mask/train", images=(good,), views=("frontal",), masks=(cut,), mask_classes=("x",)),
        Record("box/train", images=(good,), views=("frontal",), boxes=np.array([[0, 0, 2, 1]]), box_classes=("x",)),
        SetAside("native", "empty report", "row 5"),
    )
    assert [record.study_id for record in PreparedSplit(folder_of(Toy(), tmp_path, "suffix"), "train")] == [
        "good/train",
        "half/train",
    ]
    half = PreparedSplit(folder_of(Toy(), tmp_path, "suffix"), "train")[1]
    assert half.images == (good,) and half.views == ("lateral",)
    assert summary.set_aside["no readable image"] == 4 and summary.set_aside["unreadable mask"] == 1
    assert summary.set_aside["a second record with this study_id"] == summary.set_aside["empty report"] == 1
    assert (
        summary.set_aside["image left out: not an image"] == summary.set_aside["image left out: the file is empty"] == 1
    )
    listed = (folder_of(Toy(), tmp_path, "suffix") / "set_aside.csv").read_text().splitlines()
    assert len(listed) == 1 + sum(summary.set_aside.values()) and "native,empty report,row 5" in listed


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_images_are_found(picture, suffix):
    data = picture(0, size=64, suffix=suffix)
    assert image_fault(data) == "" and image_fault(data[: len(data) // 2])


def test_sixteen_bits_are_allowed(picture):
    assert image_fault(picture(0, dtype=np.uint16)) == ""


def test_what_is_there_stays_until_overwritten(tmp_path):
    make(tmp_path, Record("a/train", text="old"))
    assert make(tmp_path, Record("b/train", text="new")).splits["train"]["records"] == 1
    folder = folder_of(Toy(), tmp_path, "suffix")
    assert PreparedSplit(folder, "train")[0].text == "old"
    with pytest.raises(UserError, match="made with other options"):
        make(tmp_path, Record("b/train", text="new"), limit=1)
    make(tmp_path, Record("b/train", text="new"), overwrite=True)
    assert PreparedSplit(folder, "train")[0].text == "new"


def test_limit_counts_records_that_were_written(tmp_path):
    items = [SetAside("x", "bad")] + [Record(f"{i}/train", text="x") for i in range(5)]
    assert make(tmp_path, *items, limit=3).splits["train"]["records"] == 3


def test_no_record_at_all_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no record .* belongs to protocol suffix; 0 not in the protocol; 1 x bad"):
        make(tmp_path, SetAside("x", "bad"))


def test_an_unknown_protocol_names_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="known: by-patient, suffix, leaky"):
        make(tmp_path, protocol="official")


def test_a_failing_reader_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="row 2"):
        make(tmp_path, Record("a/train", text="x"), UserError("row 2 is broken"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    def full(self, *about):
        raise RuntimeError("write() failed: No space left on device")

    monkeypatch.setattr(builders.ShardWriter, "close", full)
    with pytest.raises(UserError, match=r"no space left for .*toy/suffix"):
        make(tmp_path, Record("a/train", text="x"))
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_large_splits_have_several_shards(tmp_path):
    make(tmp_path, *[Record(f"{i}/train", text="x" * 900) for i in range(7)], shard_mb=0.003)
    folder = folder_of(Toy(), tmp_path, "suffix")
    assert sorted(path.name for path in folder.glob("*array_record*")) == [
        f"toy-train.array_record-0000{i}-of-00004" for i in range(4)
    ]
    split = PreparedSplit(folder, "train")
    assert [record.study_id for record in split] == [f"{i}/train" for i in range(7)]
    assert json.loads((folder / "dataset_info.json").read_text())["splits"][0]["name"] == "train"
