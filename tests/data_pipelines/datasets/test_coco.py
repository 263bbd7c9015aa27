"""COCO files of a user's own: boxes, polygons, run lengths, crowds, and every way in which an annotation can be wrong."""

import json

import cv2
import damage
import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from data_pipelines.coco_json import split_of
from unimedvlp.errors import UserError


@pytest.fixture
def source(tmp_path):
    return natives.coco(tmp_path / "coco")


def mask_of(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) > 0


def change(source, **parts):
    path = source / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    for name, edit in parts.items():
        edit(content[name])
    path.write_text(json.dumps(content))


def test_boxes_and_masks(source):
    records, aside = read("coco", source, modality="xray", body_part="chest")
    assert len(records) == 4
    one = records["train/train2017_1.jpg"]
    np.testing.assert_allclose(one.boxes, [[0.1, 0.1, 0.9, 0.35], [0.05, 0.05, 0.25, 0.175]], atol=1e-7)
    assert one.box_classes == one.mask_classes == ("nodule", "mass")
    polygon, runs = map(mask_of, one.masks)
    assert polygon[2:18, 4:14].all() and polygon.sum() == 160 and runs[1:5, 2:7].all() and runs.sum() == 20
    assert records["train/train2017_2.jpg"].masks == () and len(records["train/train2017_3.jpg"].boxes) == 0
    assert reasons(aside) == ["a crowd region"] * 2 and aside[0].where.endswith("train2017_1.jpg annotation 3")


def test_splits_are_those_of_the_files(source, tmp_path):
    _, splits = prepared("coco", source, tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 1}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("annotations/TBX11K_val.json", "validation"),
        ("valid/_annotations.coco.json", "validation"),
        ("annotations/annotations.json", ""),
        ("annotations/trainval.json", ""),
        ("testing.json", "test"),
    ],
)
def test_split_of_a_file(tmp_path, name, split):
    assert split_of(tmp_path / name) == split


def test_several_files_without_a_split_need_a_choice(source, tmp_path):
    folder = source / "annotations"
    for old, new in (("instances_train2017", "nodules"), ("instances_val2017", "masses"), ("captions_train2017", "c")):
        (folder / f"{old}.json").rename(folder / f"{new}.json")
    with pytest.raises(UserError, match=r"several annotation files \(.*nodules.json\); name one with --annotations"):
        read("coco", source)
    records, aside = read("coco", source, "by-patient", annotations="annotations/masses.json")
    assert not records and reasons(aside) == ["image file missing"]
    (source / "images").symlink_to(source / "val2017")
    assert len(read("coco", source, "by-patient", annotations="annotations/masses.json")[0]) == 1
    with pytest.raises(UserError, match="named train, val or test; add --protocol by-patient"):
        read("coco", source, "given", annotations="annotations/masses.json")


def test_a_box_is_made_from_a_mask_alone(source):
    change(source, annotations=lambda items: items[1].pop("bbox"))
    one = read("coco", source)[0]["train/train2017_1.jpg"]
    np.testing.assert_allclose(one.boxes[1], [1 / 20, 2 / 40, 5 / 20, 7 / 40])


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda items: items[0].pop("category_id"), "an annotation without a known category"),
        (lambda items: items[0].update(category_id=[3]), "an annotation without a known category"),
        (lambda items: items[0].update(image_id=99), "an annotation of an image that is not listed"),
        (lambda items: items[0].update(image_id={}), "an annotation of an image that is not listed"),
        (lambda items: items[0].update(bbox=[1, 2, 3]), "a box is not four numbers"),
        (lambda items: items[0].update(bbox={"x": 1}), "a box is not four numbers"),
        (lambda items: items[0].update(bbox=7), "a box is not four numbers"),
        (lambda items: items[0].update(bbox=[float("nan"), 2, 3, 4]), "a box is not four numbers"),
        (lambda items: items[0].update(bbox=[50, 2, 3, 4]), "a box is empty or outside the image"),
        (lambda items: items[0].update(segmentation=[[1, 2, 3]]), "a polygon is not pairs of numbers"),
        (lambda items: items[0].update(segmentation=[[1, 2, 3, 4]]), "a polygon has fewer than three corners"),
        (lambda items: items[0].update(segmentation=[1, 2, 3, 4, 5, 6]), "a polygon is not pairs of numbers"),
        (lambda items: items[0].update(segmentation="text"), "a mask is neither polygons nor run lengths"),
        (lambda items: items[0].update(bbox=None, segmentation=[]), "an annotation with neither box nor mask"),
        (lambda items: items[1]["segmentation"].update(size=[40, 20]), "run lengths for size [40, 20]"),
        (lambda items: items[1]["segmentation"].update(counts=[3, 4]), "runs cover 7 pixels of 800"),
        (lambda items: items[1]["segmentation"].update(counts=None), "run lengths are not whole numbers"),
        (lambda items: items[1]["segmentation"].pop("size"), "run lengths for size None"),
    ],
)
def test_odd_annotations_are_set_aside(source, edit, reason):
    change(source, annotations=edit)
    records, aside = read("coco", source)
    assert len(records) == 4 and any(found.startswith(reason) for found in reasons(aside)), reasons(aside)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"images": lambda items: items[1].update(id=1)}, "image id 1 occurs twice"),
        ({"images": lambda items: items[1].pop("file_name")}, r"images\[1\] has no file_name"),
        ({"images": lambda items: items[1].update(id=[])}, r"images\[1\] has an id that is no number or text"),
        ({"images": lambda items: items[1].update(file_name=7)}, r"images\[1\] has a file_name that is no text"),
        ({"categories": lambda items: items[0].pop("name")}, r"categories\[0\] has no name"),
        ({"annotations": lambda items: items.append(3)}, r"annotations\[4\] has no image_id"),
    ],
)
def test_files_that_cannot_be_trusted_are_refused(source, edit, message):
    change(source, **edit)
    with pytest.raises(UserError, match=rf"instances_train2017.json: {message}"):
        read("coco", source)


def test_an_image_of_another_shape_is_set_aside(source):
    change(source, images=lambda items: items[0].update(width=20, height=40))
    records, aside = read("coco", source)
    assert "train/train2017_1.jpg" not in records
    assert "the image is 40x20, its entry says 20x40" in reasons(aside)


def test_an_image_of_another_size_keeps_its_boxes(source):
    natives.put(source / "train2017/train2017_1.jpg", natives.picture(0, 60, 120, ".jpg"))
    one = read("coco", source)[0]["train/train2017_1.jpg"]
    np.testing.assert_allclose(one.boxes[0], [0.1, 0.1, 0.9, 0.35], atol=1e-7)


@pytest.mark.parametrize("value", [None, "x", [], {}, -1, 1e308, True, float("nan")], ids=str)
def test_any_value_anywhere_is_counted_or_refused(source, tmp_path, value):
    """Every scalar of the file replaced in turn: no crash, no silent drop."""
    path = source / "annotations/instances_train2017.json"
    native = damage.Native("coco", natives.coco)
    clean = native.prepare(source, tmp_path / "out")
    content = path.read_text()
    for part, index, field in (
        *(("images", 0, field) for field in ("id", "file_name", "width", "height")),
        *(
            ("annotations", i, field)
            for i in (0, 1)
            for field in ("image_id", "category_id", "bbox", "segmentation", "iscrowd")
        ),
        *(("categories", 0, field) for field in ("id", "name")),
    ):
        changed = json.loads(content)
        changed[part][index][field] = value
        path.write_text(json.dumps(changed))
        damage.accounted(native, clean, source, tmp_path / "out", (path.name, "train2017_1", str(value)))
