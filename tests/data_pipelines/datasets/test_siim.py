"""SIIM-ACR: rows of one image are OR-ed, blanks in names and values, both layouts."""

import cv2
import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.siim(tmp_path / "siim")


def mask_of(record):
    return cv2.imdecode(np.frombuffer(record.masks[0], np.uint8), cv2.IMREAD_GRAYSCALE) > 0


def test_rows_of_one_image_are_united(source):
    records, aside = read("siim", source)
    assert len(records) == 6 and not aside
    first, second, third = list(records.values())[:3]
    expected = np.zeros((1024, 1024), bool)
    expected[0:2, 0] = expected[0:3, 1] = expected[0:10, 5] = True
    assert (mask_of(first) == expected).all() and first.mask_classes == ("pneumothorax",)
    expected = np.zeros((1024, 1024), bool)
    expected[100, 0:2] = True
    assert (mask_of(second) == expected).all()
    assert first.labels == {"pneumothorax": POSITIVE} and third.labels == {"pneumothorax": NEGATIVE} and not third.masks


def test_a_row_of_minus_one_beside_a_mask_changes_nothing(source):
    path = source / "train-rle.csv"
    before = read("siim", source)[0]
    path.write_text(path.read_text() + f"{next(iter(before))}, -1\n")
    after = read("siim", source)[0]
    assert {key: record.masks for key, record in after.items()} == {key: record.masks for key, record in before.items()}


def test_wrong_runs_and_images_without_a_row_are_set_aside(source):
    path = source / "train-rle.csv"
    lines = path.read_text().splitlines()
    lines[1], lines[3], unlisted = (
        lines[1].replace("1022 3", "1022"),
        lines[3].replace("1023 1", "2000000 1"),
        lines.pop(),
    )
    path.write_text("\n".join(lines))
    records, aside = read("siim", source)
    assert len(records) == 3
    assert reasons(aside) == [
        "runs are not pairs of whole numbers", "runs reach over the end of the image", "no row in train-rle.csv",
    ]  # fmt: skip
    assert aside[-1].study_id == unlisted.split(",")[0]


def test_stage_2_names(source, tmp_path):
    (source / "train-rle.csv").rename(source / "stage_2_train.csv")
    with pytest.raises(UserError, match="expected stage_2_images/"):
        read("siim", source)
    (source / "dicom-images-train").rename(source / "stage_2_images")
    assert len(read("siim", source)[0]) == 6


def test_png_copy(tmp_path):
    source = natives.siim_png(tmp_path / "png")
    _, splits = prepared("siim", source, tmp_path, "stage-1")
    assert set(splits["test"]) == {"1.2.276.1.0", "1.2.276.1.1"} and sum(map(len, splits.values())) == 8
    records = {key: record for split in splits.values() for key, record in split.items()}
    for key, record in records.items():
        positive = int(key[-1]) % 2 == 1
        assert record.labels["pneumothorax"] == (POSITIVE if positive else NEGATIVE) and bool(record.masks) == positive
    assert mask_of(records["1.2.276.1.1"])[4:10, 8:12].all() and mask_of(records["1.2.276.1.1"]).sum() == 24
    (source / "stage_1_test_images.csv").unlink()
    with pytest.raises(UserError, match=r"expected stage_1_test_images.csv"):
        prepared("siim", source, tmp_path / "again", "stage-1")


def test_lists_that_overlap_are_refused(source, tmp_path):
    ids = list(read("siim", source)[0])
    natives.put(source / "splits/train_list.txt", "\n".join(ids[:4]))
    natives.put(source / "splits/val_list.txt", "\n".join(ids[3:5]))
    with pytest.raises(UserError, match=f"study {ids[3]} is in both train and validation"):
        prepared("siim", source, tmp_path, "lists")
