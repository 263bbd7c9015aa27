"""CHASE_DB1: two observers an image, both eyes of a child on one side."""

import cv2
import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError


@pytest.fixture
def source(tmp_path):
    return natives.chase_db1(tmp_path / "chase")


def mask_of(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) > 0


def test_two_observers(source):
    records, aside = read("chase_db1", source)
    assert len(records) == 8 and not aside
    one = records["Image_01L"]
    assert one.mask_classes == ("vessel", "vessel by second observer")
    assert [mask_of(data).sum() for data in one.masks] == [6 * 18, 5 * 18] and one.modality == "fundus"
    assert one.patient_id == records["Image_01R"].patient_id == "01" != records["Image_02L"].patient_id


def test_a_missing_mask_and_a_stray_file_are_counted(source):
    (source / "CHASEDB1/Image_02L_2ndHO.png").rename(source / "CHASEDB1/vessels.png")
    records, aside = read("chase_db1", source / "CHASEDB1")
    assert records["Image_02L"].mask_classes == ("vessel",) and len(records) == 8
    assert reasons(aside) == ["mask file missing", "neither an image nor the mask of one"]
    assert aside[0].where == "Image_02L.jpg Image_02L_2ndHO.png"


def test_wrong_layout(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match=r"expected Image_01L.jpg, .* found a.jpg"):
        read("chase_db1", tmp_path)


def test_real_copy(real_data, tmp_path):
    summary, splits = prepared("chase_db1", real_data / "chasedb1", tmp_path)
    assert {name: (split["records"], split["patients"]) for name, split in summary.splits.items()} == {
        "train": (16, 8), "validation": (8, 4), "test": (4, 2),
    }  # fmt: skip
    shares = [mask_of(data).mean() for record in splits["train"].values() for data in record.masks]
    assert len(shares) == 32 and 0.04 < min(shares) < max(shares) < 0.15 and not summary.set_aside
