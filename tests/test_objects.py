"""Boxes and masks brought together."""

import numpy as np
import pytest

from data_pipelines.images import encode_png
from unimedvlp import objects
from unimedvlp.errors import UserError
from unimedvlp.records import Record


def mask(top, left, bottom, right, size=20):
    found = np.zeros((size, size), np.uint8)
    found[top:bottom, left:right] = 255
    return encode_png(found)


def test_each_box_gets_the_mask_of_its_class_that_overlaps_it_most():
    record = Record(
        "s",
        boxes=np.array([[0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1]], np.float32),
        box_classes=("cell", "cell", "platelet"),
        masks=(mask(1, 0, 10, 10), mask(0, 10, 10, 20), mask(10, 10, 20, 20), mask(0, 0, 9, 10), mask(0, 0, 0, 0)),
        mask_classes=("cell", "cell", "cell", "cell", "cell"),
    )
    found = objects.of_record(record)
    assert found.classes == ("cell", "cell", "platelet", "cell", "cell")
    np.testing.assert_array_equal(found.boxes[:3], record.boxes)
    np.testing.assert_allclose(found.boxes[3:], [[0, 0.5, 0.5, 1], [0, 0, 0.45, 0.5]])
    assert found.masks[0][15, 15] and found.masks[1][5, 5] and not found.masks[1][0, 0]
    assert found.masks[2] is None  # the mask that lies there is of another class
    assert found.masks[3][5, 15] and found.masks[4][0, 0]


def test_a_box_may_say_more_of_its_class_than_the_mask():
    record = Record(
        "s",
        boxes=np.array([[0, 0, 1, 0.5], [0, 0.5, 1, 1]], np.float32),
        box_classes=("right lung", "left lung"),
        masks=(mask(0, 10, 20, 20), mask(0, 0, 20, 10)),
        mask_classes=("lung", "lung"),
    )
    found = objects.of_record(record)
    assert found.classes == ("right lung", "left lung")
    assert found.masks[0][0, 0] and found.masks[1][0, 19]


def test_a_kind_ends_with_the_name_of_the_whole():
    assert objects.is_a("left lung", "lung") and objects.is_a("lung", "lung")
    assert not objects.is_a("lung", "left lung") and not objects.is_a("vessel by second observer", "vessel")


def test_one_list_alone_and_none_at_all():
    boxes = np.array([[0, 0, 1, 1]], np.float32)
    assert objects.of_record(Record("s", boxes=boxes, box_classes=("lung",))).masks == (None,)
    alone = objects.of_record(Record("s", masks=(mask(2, 4, 12, 20),), mask_classes=("lung",)))
    np.testing.assert_allclose(alone.boxes, [[0.1, 0.2, 0.6, 1.0]])
    none = objects.of_record(Record("s"))
    assert none.boxes.shape == (0, 4) and none.classes == () == none.masks


def test_a_damaged_mask_is_named():
    with pytest.raises(UserError, match="a mask of 9 bytes is damaged"):
        objects.decode_mask(b"\x89PNG nope")


def test_iou_equals_torchvision_style_areas():
    rng = np.random.default_rng(0)
    one, other = (np.sort(rng.random((5, 2, 2)), axis=1).reshape(5, 4) for _ in range(2))
    grid = (np.arange(1000) + 0.5) / 1000

    def area(box):
        rows, columns = ((grid >= box[i]) & (grid < box[i + 2]) for i in (0, 1))
        return rows[:, None] & columns

    for i, a in enumerate(one):
        for j, b in enumerate(other):
            first, second = area(a), area(b)
            counted = (first & second).sum() / (first | second).sum()
            assert objects.iou(one, other)[i, j] == pytest.approx(counted, abs=5e-3)
