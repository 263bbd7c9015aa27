"""NIH ChestX-ray14: bracketed headers, boxes in pixels of 1024, and the split by the owner's lists or one's own."""

import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.nih(tmp_path / "nih")


def test_labels_and_boxes(source):
    records, aside = read("nih", source)
    assert len(records) == 5 and not aside
    one = records["00000001_000"]
    assert [name for name, value in one.labels.items() if value == POSITIVE] == ["cardiomegaly", "emphysema"]
    assert len(one.labels) == 15 and one.labels["no finding"] == NEGATIVE and len(one.boxes) == 0
    assert (one.patient_id, one.views) == ("1", ("frontal",)) == (records["00000001_001"].patient_id, one.views)
    two = records["00000002_000"]
    assert {"pleural effusion", "infiltration", "pleural thickening"} == {
        name for name, value in two.labels.items() if value == POSITIVE
    }
    np.testing.assert_allclose(two.boxes, [[0.5, 0.25, 0.75, 0.375]])
    assert two.box_classes == ("infiltration",) and (records["00000004_000"].boxes == [[0, 0, 1, 1]]).all()


def test_official_lists_keep_patients_together(source, tmp_path):
    summary, splits = prepared("nih", source, tmp_path, "official")
    assert set(splits["test"]) == {"00000004_000"} and sum(map(len, splits.values())) == 5
    assert not summary.leaks
    lists = (source / "train_val_list.txt").read_text() + "00000004_000.png\n"
    (source / "train_val_list.txt").write_text(lists)
    with pytest.raises(UserError, match="study 00000004_000 is in both"):
        prepared("nih", source, tmp_path / "again", "official")
    (source / "test_list.txt").unlink()
    with pytest.raises(UserError, match=r"expected test_list.txt; found"):
        prepared("nih", source, tmp_path / "again", "official")


def test_what_is_unknown_is_set_aside(source):
    table = (source / "Data_Entry_2017.csv").read_text()
    table = table.replace("No Finding", "No Finding|Rash").replace(",3,81,", ",x,81,")
    (source / "Data_Entry_2017.csv").write_text(table)
    boxes = (source / "BBox_List_2017.csv").read_text()
    (source / "BBox_List_2017.csv").write_text(
        boxes + "00000009_000.png,Mass,1,2,3,4,,,\n00000004_000.png,Mass,1,2,3,NaN,,,\n"
    )
    records, aside = read("nih", source)
    assert len(records) == 3 and len(records["00000004_000"].boxes) == 1
    assert reasons(aside) == [
        "unknown finding 'Rash'", "Patient ID is 'x', no number", "a box is not four numbers",
        "boxes of an image that is not in the table",
    ]  # fmt: skip


def test_real_subset(real_data, tmp_path):
    """1,000 images at 64 pixels: the boxes' pixels are those of 1024, and the published lists share no patient."""
    source = tmp_path / "nih"
    source.mkdir()
    for name in ("Data_Entry_2017_v2020.csv", "BBox_List_2017.csv", "NIH1000"):
        (source / name).symlink_to(real_data / "nih_cxr14_64px" / name)
    (source / "splits").symlink_to(real_data / "nih_cxr14_64px/labels")
    summary, _ = prepared("nih", source, tmp_path / "out", "by-patient")
    assert sum(split["records"] for split in summary.splits.values()) == 1000 and not summary.set_aside
    assert sum(split["boxes"] for split in summary.splits.values()) == 9
    summary, _ = prepared("nih", source, tmp_path / "out", "lists")
    counts = {split: found["records"] for split, found in summary.splits.items()}
    assert counts == {"train": 725, "validation": 94, "test": 181} and not summary.set_aside


def test_real_labels_are_those_of_the_lists(real_data):
    """The 14 columns of CheXNet's label files agree with `Finding Labels` wherever the table was not corrected since."""
    order = (
        "atelectasis", "cardiomegaly", "pleural effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
        "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia",
    )  # fmt: skip
    records, _ = read("nih", real_data / "nih_cxr14_64px")
    same = []
    for part in ("train", "val", "test"):
        for line in (real_data / f"nih_cxr14_64px/labels/{part}_list.txt").read_text().splitlines():
            name, *values = line.split()
            labels = records[name.removesuffix(".png")].labels
            same.append([labels[finding] == POSITIVE for finding in order] == [value == "1" for value in values])
    assert len(same) == 1000 and np.mean(same) > 0.99
