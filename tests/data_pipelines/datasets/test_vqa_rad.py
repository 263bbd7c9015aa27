"""VQA-RAD: both native layouts, their quirks, and the two protocols."""

import json
import shutil

import pytest

from data_pipelines.builder import folder_of, prepare
from data_pipelines.datasets.vqa_rad import VqaRad
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import SetAside
from data_pipelines.work import expand
from unimedvlp.errors import UserError
from unimedvlp.records import Question, Record


def read(source, protocol="image-disjoint"):
    items = list(expand(VqaRad().records(source, protocol)))
    return {item.study_id: item for item in items if isinstance(item, Record)}, [
        i for i in items if isinstance(i, SetAside)
    ]


def load(source, name):
    return json.loads((source / "data_RAD" / f"{name}.json").read_text())


def as_original(source, frame="NULL"):
    """Rewrite MEVF's files as the original one: rows marked by phrase_type, frames as a column."""
    rows = [row | {"question_frame": frame} for row in load(source, "trainset")]
    rows += [
        row | {"phrase_type": "test_" + row["phrase_type"], "question_frame": frame} for row in load(source, "testset")
    ]
    (source / "data_RAD" / "VQA_RAD Dataset Public.json").write_text(json.dumps(rows))
    for name in ("trainset", "testset"):
        (source / "data_RAD" / f"{name}.json").unlink()
    (source / "data_RAD" / "images").rename(source / "data_RAD" / "VQA_RAD Image Folder")


def test_quirks_are_mended(vqa):
    records, aside = read(vqa)
    first = records["synpic0"]
    assert first.qa[0] == Question("Is there a finding, number 0?", "3", "open", "count")
    assert first.qa[1] == Question("Is there a finding, number 1?", "Left lung", "closed", "attribute, presence")
    assert (first.body_part, first.modality) == ("head", "other")
    assert (records["synpic1"].body_part, records["synpic1"].modality) == ("chest", "xray")
    assert aside == [SetAside("synpic0", "question or answer is empty", "trainset.json qid 2")]
    assert len(records) == 30 and len(records["synpic1"].qa) == 4


def test_official_keeps_the_published_test_and_warns(vqa, tmp_path):
    summary = prepare(VqaRad(), vqa, tmp_path, "official")
    assert summary.leaks and summary.splits["test"]["questions"] == 30
    assert summary.splits["train"]["questions"] + summary.splits["validation"]["questions"] == 89
    folder = folder_of(VqaRad(), tmp_path, "official")
    asked = {split: {q.question for r in PreparedSplit(folder, split) for q in r.qa} for split in summary.splits}
    assert asked["test"] == {row["question"] for row in load(vqa, "testset")}
    assert not asked["train"] & asked["validation"]
    assert all(record.study_id.endswith("/test") for record in PreparedSplit(folder, "test"))


def test_image_disjoint_shares_no_image(vqa, tmp_path):
    summary = prepare(VqaRad(), vqa, tmp_path, "image-disjoint")
    folder = folder_of(VqaRad(), tmp_path, "image-disjoint")
    images = {split: {record.images[0] for record in PreparedSplit(folder, split)} for split in summary.splits}
    assert len(set().union(*images.values())) == 30 == sum(map(len, images.values())) and len(images) >= 2
    assert not summary.leaks and summary.shared_images == 0


def test_original_layout_gives_the_same_records(vqa):
    before = {protocol: read(vqa, protocol)[0] for protocol in VqaRad.protocols}
    as_original(vqa)
    for protocol, records in before.items():
        after = read(vqa, protocol)[0]
        assert {key: record.qa for key, record in after.items()} == {key: record.qa for key, record in records.items()}
        assert all(after[key].images == records[key].images for key in records)


def test_frames_of_the_original_are_training_questions(vqa):
    as_original(vqa, frame="Is there a thing in the picture?")
    records, _ = read(vqa, "official")
    framed = [key for key, record in records.items() for q in record.qa if q.question.startswith("Is there a thing")]
    assert len(framed) == 89 and not any(key.endswith("/test") for key in framed)


def test_a_missing_image_is_set_aside(vqa):
    (vqa / "data_RAD" / "images" / "synpic4.jpg").unlink()
    records, aside = read(vqa)
    assert "synpic4" not in records and SetAside("synpic4", "image file missing", "testset.json qid 19") in aside


def test_wrong_layout_and_fields(vqa):
    rows = load(vqa, "trainset")
    del rows[5]["answer"]
    (vqa / "data_RAD" / "trainset.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=r"trainset.json: item 5 has no answer"):
        read(vqa)
    shutil.rmtree(vqa / "data_RAD")
    (vqa / "train.json").touch()
    with pytest.raises(UserError, match=r"expected trainset.json and testset.json, .* found train.json"):
        read(vqa)


def test_real_counts(real_data, tmp_path):
    for protocol in VqaRad.protocols:
        summary = prepare(VqaRad(), real_data / "vqa_rad", tmp_path, protocol)
        questions = {name: split["questions"] for name, split in summary.splits.items()}
        assert questions == summary.expected and not summary.set_aside
        assert sum(questions.values()) == 3064 + 451
