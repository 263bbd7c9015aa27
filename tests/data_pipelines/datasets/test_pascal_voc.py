"""Pascal VOC folders, as BCCD and as a user's own: coordinates from 1, truncated and difficult objects."""

import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError


@pytest.fixture
def source(tmp_path):
    return natives.voc(tmp_path / "voc")


def test_boxes(source):
    records, aside = read("pascal_voc", source, modality="microscopy", body_part="blood")
    assert len(records) == 5
    one = records["BloodImage_00000"]
    np.testing.assert_allclose(one.boxes, [[0, 0, 1, 1], [5 / 20, 10 / 40, 15 / 20, 20 / 40]])
    assert one.box_classes == ("WBC", "RBC") and (one.modality, one.body_part) == ("microscopy", "blood")
    assert records["BloodImage_00002"].box_classes == ("Platelets",) and len(records["BloodImage_00004"].boxes) == 0
    assert reasons(aside) == ["a difficult object"] and aside[0].where == "BloodImage_00002.xml"


def test_bccd_names_its_cells(source, tmp_path):
    _, splits = prepared("bccd", source, tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 1, "test": 1}
    assert splits["train"]["BloodImage_00000"].box_classes == ("white blood cell", "red blood cell")
    assert splits["train"]["BloodImage_00002"].box_classes == ("platelet",)


def test_given_lists(source, tmp_path):
    _, splits = prepared("pascal_voc", source, tmp_path)
    assert set(splits["test"]) == {"BloodImage_00008"}
    (source / "BCCD/ImageSets/Main/train.txt").unlink()
    with pytest.raises(UserError, match=r"expected ImageSets/Main/train.txt; found test.txt"):
        prepared("pascal_voc", source, tmp_path / "again")
    assert sum(map(len, prepared("pascal_voc", source, tmp_path, "by-patient")[1].values())) == 5


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<name>WBC</name>", "<name> </name>", "an object without a name"),
        ("<ymin>1</ymin>", "<ymin></ymin>", "a box is not four numbers"),
        ("<ymin>1</ymin>", "", "a box is not four numbers"),
        ("<xmax>40</xmax>", "<xmax>nan</xmax>", "a box is not four numbers"),
        ("<ymax>20</ymax>", "<ymax>0</ymax>", "a box is empty or outside the image"),
        ("<ymax>20</ymax>", "<ymax>29</ymax>", "part of a box is outside the image: cut off"),
        ("<width>40</width>", "<width>80</width>", "the image is 40x20, its XML file says 80x20"),
        ("</annotation>", "", "malformed XML"),
    ],
)
def test_odd_files_are_set_aside(source, old, new, reason):
    path = source / "BCCD/Annotations/BloodImage_00000.xml"
    path.write_text(path.read_text().replace(old, new, 1))
    _, aside = read("pascal_voc", source)
    assert any(item.reason.startswith(reason) and "BloodImage_00000.xml" in item.where for item in aside)


def test_an_image_without_a_file_and_a_file_without_an_image(source):
    (source / "BCCD/JPEGImages/BloodImage_00002.jpg").rename(source / "BCCD/JPEGImages/other.jpg")
    records, aside = read("pascal_voc", source)
    assert len(records) == 4
    assert reasons(aside) == ["image file missing", "image without an XML file in Annotations"]


def test_a_file_name_that_leads_outside(source):
    path = source / "BCCD/Annotations/BloodImage_00099.xml"
    path.write_text(natives.voc_xml("../../../../etc/passwd", "").replace(".jpg", ""))
    assert "path leads outside the source folder" in reasons(read("pascal_voc", source)[1])


def test_patients_by_name(source, tmp_path):
    records, _ = read("pascal_voc", source, patient=r"_(\d{4})")
    assert {record.patient_id for record in records.values()} == {"0000"}
    for pattern, message in ((r"\d+", "has no group"), ("(", "is no regular expression")):
        with pytest.raises(UserError, match=message):
            read("pascal_voc", source, patient=pattern)
    with pytest.raises(UserError, match="--modality 'x-ray' is not one of other, xray"):
        read("pascal_voc", source, modality="x-ray")


def test_real_bccd(real_data, tmp_path):
    summary, splits = prepared("bccd", real_data / "bccd", tmp_path)
    counts = {name: (split["records"], split["boxes"]) for name, split in summary.splits.items()}
    assert counts == {"train": (107, 1483), "validation": (44, 592), "test": (31, 385)} and not summary.set_aside
    classes = {name for split in splits.values() for record in split.values() for name in record.box_classes}
    assert classes == {"red blood cell", "white blood cell", "platelet"}
    own, _ = prepared("pascal_voc", real_data / "bccd", tmp_path)
    assert {name: split["boxes"] for name, split in own.splits.items()} == {name: n for name, (_, n) in counts.items()}
