"""MEDIQA 2021's native files."""

import pytest
from bad_input_text import JSON, File, Layout, bad_input, everything, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.mediqa import FILES, Mediqa
from unimedvlp.errors import UserError


def report(number, **changes):
    return {
        "study_id": str(number),
        "subject_id": f"p{number // 2}",
        "findings": f"Heart size is normal. Café sign {number}. ____ opacity.",
        "impression": f"No acute findings {number}.",
        "background": "Indication: ____-year-old male. Comparison: None.",
    } | changes


def write(source):
    for i, name in enumerate(FILES.values()):
        rows = [report(10 * i + j, **({"subject_id": ""} if name.startswith("indiana") else {})) for j in range(4)]
        save(source / name, JSON.dump(rows))


FILE = File(JSON, "impression", "study_id")
test_bad_input = bad_input(Layout(Mediqa(), "mimic-to-indiana", write, {name: FILE for name in FILES.values()}))


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(Mediqa(), tmp_path / "source", tmp_path / "out", "mimic-to-indiana")
    assert {split: len(records) for split, records in splits.items()} == {"train": 4, "validation": 4, "test": 4}
    record = splits["train"][3]
    assert (record.study_id, record.patient_id, record.modality, record.body_part) == ("3/train", "p1", "xray", "chest")
    assert record.findings.endswith("____ opacity.") and record.impression == "No acute findings 3."
    assert record.indication.startswith("Indication: ____-year-old")
    assert splits["test"][0].patient_id == ""


def test_indiana_splits_in_the_order_of_the_file(tmp_path):
    save(tmp_path / "source" / FILES["test"], JSON.dump([report(i, subject_id="") for i in range(20)]))
    splits = everything(Mediqa(), tmp_path / "source", tmp_path / "out", "indiana")
    ids = [record.study_id for split in ("train", "validation", "test") for record in splits[split]]
    assert ids == [f"{i}/{'train' if i < 14 else 'validation' if i < 16 else 'test'}" for i in range(20)]


def test_indiana_reports_alone_name_their_protocol(tmp_path):
    save(tmp_path / "source" / FILES["test"], JSON.dump([report(0)]))
    with pytest.raises(UserError, match=r"train\.json is not there.*--protocol indiana"):
        everything(Mediqa(), tmp_path / "source", tmp_path / "out", "mimic-to-indiana")


def test_real_indiana_reports(real_data, tmp_path):
    summary = prepare(Mediqa(), real_data / "mediqa2021_rrs", tmp_path, "indiana")
    assert {split: counts["records"] for split, counts in summary.splits.items()} == summary.expected
    assert not summary.set_aside
