"""A user's own questions about images."""

import json

import pytest
from bad_input_text import CSV, JSON, LINES, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.vqa_json import VqaJson
from unimedvlp.errors import UserError
from unimedvlp.records import Question


def write(source):
    for i, split in enumerate(("train", "val", "test")):
        rows = [
            {
                "qid": k,
                "image": f"{split}{k // 2}.jpg",
                "question": f"Is it café {k}?",
                "answer": ("yes", "left lung")[k % 2],
            }
            for k in range(4)
        ]
        save(source / f"{split}.json", JSON.dump(rows))
        for k in range(2):
            save(source / "images" / f"{split}{k}.jpg", jpeg(10 * i + k))


FILE = File(JSON, "answer", "qid", ("image", "question"), "image", optional=True)
LAYOUT = Layout(VqaJson(), "given", write, {"train.json": FILE, "test.json": FILE}, "images/test0.jpg")
test_bad_input = bad_input(LAYOUT)


def test_usual_names_need_no_option(tmp_path):
    write(tmp_path / "source")
    splits = everything(VqaJson(), tmp_path / "source", tmp_path / "out", "given")
    assert {split: len(records) for split, records in splits.items()} == {"train": 2, "validation": 2, "test": 2}
    record = splits["test"][1]
    assert record.study_id == "test1.jpg/test" and record.patient_id == "test1.jpg"
    assert record.qa == (Question("Is it café 2?", "yes", "closed"), Question("Is it café 3?", "left lung", "open"))


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_own_keys_in_any_form(tmp_path, suffix):
    rows = [
        {
            "pic": f"scan{i // 2}",
            "q": f"What {i}?",
            "a": i,
            "sort": "OPEN ",
            "about": "Size",
            "who": f"p{i // 4}",
            "fold": "train",
        }
        for i in range(8)
    ]
    forms = {".jsonl": LINES, ".csv": CSV}
    text = forms[suffix].dump(rows) if suffix in forms else json.dumps({"info": {"year": 2026}, "questions": rows})
    save(tmp_path / "source" / f"mine{suffix}", text)
    for i in range(4):
        save(tmp_path / "source" / "scans" / f"scan{i}.jpeg", jpeg(i))
    builder = VqaJson(
        columns="image=pic,question=q,answer=a,kind=sort,topic=about,patient=who,split=fold",
        images="scans",
        modality="ct",
    )
    record = everything(builder, tmp_path / "source", tmp_path / "out", "given")["train"][1]
    assert (record.study_id, record.patient_id, record.modality) == ("scan1/train", "p0", "ct")
    assert record.qa[1] == Question("What 3?", "3", "open", "size")


def test_an_image_in_two_splits_is_refused_or_kept_together(tmp_path):
    write(tmp_path / "source")
    path = tmp_path / "source" / "test.json"
    path.write_text(path.read_text().replace("test0.jpg", "train0.jpg"))
    with pytest.raises(UserError, match=r"patient 'train0.jpg' is in both test and train"):
        prepare(VqaJson(), tmp_path / "source", tmp_path / "out", "given")
    summary = prepare(VqaJson(), tmp_path / "source", tmp_path / "out", "by-patient")
    assert summary.shared_images == 0 and sum(counts["questions"] for counts in summary.splits.values()) == 12


def test_missing_keys_are_named(tmp_path):
    save(tmp_path / "train.json", '[{"image": "a", "query": "?", "answer": "x"}]')
    with pytest.raises(
        UserError, match=r"train.json: no column for question, usually question; found image, query, answer"
    ):
        list(VqaJson().records(tmp_path, "given"))


def test_real_vqa_rad_as_ones_own(real_data, tmp_path):
    source = real_data / "vqa_rad" / "data_RAD"
    (tmp_path / "s").mkdir()
    for name in ("trainset.json", "testset.json", "images"):
        (tmp_path / "s" / name).symlink_to(source / name)
    with pytest.raises(UserError, match=r"is in both test and train"):
        prepare(VqaJson(), tmp_path / "s", tmp_path / "out", "given")
    summary = prepare(VqaJson(), tmp_path / "s", tmp_path / "out", "by-patient")
    assert sum(counts["questions"] for counts in summary.splits.values()) == 3515 and not summary.set_aside
    assert sum(counts["images"] for counts in summary.splits.values()) == 314
