"""Boxes and masks: exact against pycocotools' run lengths and against areas known from geometry."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_pipelines.annotations import (
    Objects,
    coco_runs,
    ellipse,
    label_map,
    polygon,
    rectangle,
    relative_runs,
)
from unimedvlp.errors import UserError

# What pycocotools 2.0.11 makes of the mask and of the slanted polygon below.
LARGE = (
    "f82US1e1ZmN00000000000000000000000000000000000000ROB4>j000000000000000000000000000000000000000000000000000000000WW1"
    "ZNelN"
)
AREA = 1686


def objects(height=20, width=40):
    return Objects("s", height, width, "a.csv")


def runs_of(mask):
    """COCO's run lengths of a mask, the plain way."""
    counts, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@given(st.integers(0, 10**6), st.integers(1, 13), st.integers(1, 17))
@settings(max_examples=40, deadline=None)
def test_run_lengths_are_inverted(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    assert (coco_runs(runs_of(mask), height, width) == mask).all()


def test_compressed_runs_of_pycocotools():
    mask = np.zeros((6, 9), bool)
    mask[1:5, 2:7], mask[2, 3] = True, False
    assert (coco_runs("=42MO1120000;", 6, 9) == mask).all() and (coco_runs(b"=42MO1120000;", 6, 9) == mask).all()
    large = np.zeros((70, 90), bool)
    large[5:60, 20:70], large[30, 40], large[68:, 3], large[0, 88] = True, False, True, True
    assert (coco_runs(LARGE, 70, 90) == large).all()


def test_relative_runs_go_down_the_columns():
    mask = relative_runs("1 2 18 3", 10, 5)  # column 0 rows 1-2, column 2 rows 1-3
    expected = np.zeros((10, 5), bool)
    expected[1:3, 0] = expected[1:4, 2] = True
    assert (mask == expected).all()


@pytest.mark.parametrize("text", ["", "1", "1 x", "1 2 3", "0.5 2", "49 2", "-1 2", "9" * 30 + " 1"])
def test_wrong_relative_runs(text):
    with pytest.raises(UserError, match="runs"):
        relative_runs(text, 10, 5)


@pytest.mark.parametrize("counts", [[3], [25, 26], [-1, 51], ["a"], None, "0", 7])
def test_wrong_coco_runs(counts):
    with pytest.raises(UserError, match="run"):
        coco_runs(counts, 10, 5)


def test_polygon_has_the_area_of_its_shape():
    square = polygon([10, 20, 50, 20, 50, 80, 10, 80], 100, 100)
    assert square.sum() == 40 * 60 and square[20:80, 10:50].all()
    triangle = polygon([0, 0, 100, 0, 0, 100], 100, 100)
    assert triangle.sum() == pytest.approx(5000, abs=100)
    slanted = polygon([10.3, 5.2, 60.9, 8.8, 75.0, 40.1, 30.2, 44.4], 50, 80)
    x, y = np.array([10.3, 60.9, 75.0, 30.2]), np.array([5.2, 8.8, 40.1, 44.4])
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert slanted.sum() == pytest.approx(area, rel=0.01) and abs(int(slanted.sum()) - AREA) < 0.02 * AREA


def test_a_polygon_may_reach_over_the_border():
    assert (polygon([-10, -10, 10, -10, 10, 10, -10, 10], 8, 30) == rectangle(0, 0, 10, 8, 8, 30)).all()
    assert not polygon([-10, -10, -5, -10, -5, -5], 8, 8).any()


@pytest.mark.parametrize("points", [[], [1, 2, 3, 4], [1, 2, 3], [0, 0, 1, 1, float("nan"), 2], ["a"] * 6, None])
def test_wrong_polygons(points):
    with pytest.raises(UserError, match="a polygon"):
        polygon(points, 10, 10)


def test_ellipse_fills_its_box():
    mask = ellipse(10, 20, 50, 80, 100, 100)
    rows, columns = np.nonzero(mask)
    assert mask.sum() == pytest.approx(np.pi * 20 * 30, rel=0.01)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 79, 10, 49)


def test_boxes_are_shares_of_the_image():
    found = objects()
    found.box("a", "4", "2", "14", 12)
    found.sized_box("b", 0, 0, 40, 20)
    fields = found.fields()
    np.testing.assert_allclose(fields["boxes"], [[0.1, 0.1, 0.6, 0.35], [0, 0, 1, 1]], atol=1e-7)
    assert fields["box_classes"] == ("a", "b") and fields["masks"] == () and not found.aside


@pytest.mark.parametrize(
    ("box", "reason", "kept"),
    [
        ((-1, 0, 41, 20), "", 1),
        ((-3, 0, 20, 20), "part of a box is outside", 1),
        ((50, 0, 60, 20), "empty or outside", 0),
        ((5, 5, 5, 9), "empty or outside", 0),
        ((9, 9, 5, 5), "empty or outside", 0),
        ((0, 0, "", 4), "not four numbers", 0),
        ((0, 0, "NaN", 4), "not four numbers", 0),
        ((0, 0, float("inf"), 4), "not four numbers", 0),
        ((None, 0, 3, 4), "not four numbers", 0),
    ],
)
def test_odd_boxes_are_cut_or_counted(box, reason, kept):
    found = objects()
    found.box("a", *box, where="row 3")
    assert len(found.fields()["boxes"]) == kept and (found.fields()["boxes"] <= 1).all()
    assert [item.where for item in found.aside] == ["a.csv row 3"] * bool(reason)
    assert all(reason in item.reason for item in found.aside)


def test_the_same_box_counts_once():
    found = objects()
    for name in ("a", "a", "b"):
        found.box(name, 1, 1, 5, 5)
    assert found.fields()["box_classes"] == ("a", "b") and found.aside[0].reason == "the same box twice"


def test_masks_keep_their_size_and_must_have_the_shape_of_the_image():
    found = objects()
    mask = np.zeros((40, 80), np.uint8)
    found.mask("a", mask)
    mask[3:9, 5:9] = 7
    found.mask("a", mask)
    found.mask("a", mask.T)
    data = np.frombuffer(found.fields()["masks"][0], np.uint8)
    assert (cv2.imdecode(data, cv2.IMREAD_UNCHANGED) == (mask > 0) * 255).all()
    assert [item.reason for item in found.aside] == ["a mask is empty", "a mask of 40x80 on an image of 40x20"]


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGB", "RGBA", "I;16"])
def test_label_maps_of_every_kind(mode):
    values = np.array([[0, 1], [1, 0]] if mode == "1" else [[0, 1], [2, 255]], np.uint8)
    image = Image.fromarray(values.astype(np.uint16) if mode == "I;16" else values)
    if mode == "P":
        image = image.convert("P")
        image.putpalette(list(range(256)) * 3)
        values = np.asarray(image)
    elif mode != "I;16":
        image = image.point(lambda value: 255 * value).convert("1") if mode == "1" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert (label_map(buffer.getvalue()) == values).all()


def test_colour_is_no_label_map():
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8))[1].tobytes()
    with pytest.raises(UserError, match="a mask in colours"):
        label_map(data)
    with pytest.raises(UserError, match="unreadable mask"):
        label_map(data[:50])
