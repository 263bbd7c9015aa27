"""COVIDx: lists separated by blanks, two or three classes, patients within their collection."""

import natives
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.covidx(tmp_path / "covidx")


def test_two_classes(source, tmp_path):
    summary, splits = prepared("covidx", source, tmp_path)
    assert summary.protocol == "9B" and set(splits["test"]) == {"test/c.png", "test/c1.png"}
    records = {key: record for split in splits.values() for key, record in split.items()}
    assert len(records) == 5 and records["test/c.png"].labels == {"covid-19": POSITIVE}
    blank = records["train/SARS-10.1148 a0.jpeg"]
    assert blank.labels == {"covid-19": NEGATIVE} and blank.patient_id == "cohen/3"
    assert records["train/b.png"].patient_id == "actmed/3"


def test_three_classes(source):
    records, _ = read("covidx", source, "9A")
    assert records["train/b.png"].labels == {"covid-19": POSITIVE, "no finding": NEGATIVE}
    assert records["train/b1.png"].labels == {"covid-19": NEGATIVE, "pneumonia": NEGATIVE, "no finding": POSITIVE}
    assert records["train/SARS-10.1148 a0.jpeg"].labels["pneumonia"] == POSITIVE


def test_a_patient_on_both_sides_is_refused(source, tmp_path):
    path = source / "test_COVIDx9B.txt"
    path.write_text(path.read_text().replace("105 c1.png negative rsna", "379 c1.png negative rsna"))
    with pytest.raises(UserError, match=r"patient 'rsna/379' is in both train and test"):
        prepared("covidx", source, tmp_path)


def test_three_lists(source, tmp_path):
    for name, old in (("train", "train_COVIDx9B.txt"), ("test", "test_COVIDx9B.txt")):
        (source / old).rename(source / f"{name}.txt")
    with pytest.raises(UserError, match=r"expected val.txt; found"):
        read("covidx", source, "CXR-4")
    natives.put(source / "val.txt", "7 v.png negative rsna\n")
    natives.put(source / "val/v.png", natives.picture(3))
    _, splits = prepared("covidx", source, tmp_path, "CXR-4")
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 1, "test": 2}


def test_odd_lines_are_set_aside_by_number(source):
    path = source / "train_COVIDx9B.txt"
    path.write_text(path.read_text() + "9 d.png positive\n\n9 d.png maybe rsna\n8 ../../x.png positive rsna\n")
    records, aside = read("covidx", source, "9B")
    assert len(records) == 5
    assert reasons(aside)[:2] == ["expected patient, file name, class and source", "unknown class 'maybe'"]
    assert aside[0].where == "train_COVIDx9B.txt line 4" and aside[2].reason == "path leads outside the source folder"
