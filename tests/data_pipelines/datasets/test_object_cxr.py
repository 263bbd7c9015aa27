"""Object-CXR: rectangles, ellipses and polygons become boxes and masks."""

import cv2
import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.object_cxr(tmp_path / "object")


def areas(record):
    return [(cv2.imdecode(np.frombuffer(data, np.uint8), 0) > 0).sum() for data in record.masks]


def test_shapes(source):
    records, aside = read("object_cxr", source)
    assert len(records) == 5 and not aside
    one = records["train/00001.jpg"]
    np.testing.assert_allclose(
        one.boxes * [20, 40, 20, 40], [[4, 10, 12, 30], [2, 2, 8, 12], [14, 20, 19, 36]], atol=1e-5
    )
    rectangle, ellipse, polygon = areas(one)
    assert rectangle == 160 and polygon == 80 and ellipse == pytest.approx(np.pi * 5 * 3, rel=0.1)
    assert one.box_classes == one.mask_classes == ("foreign object",) * 3
    assert one.labels == {"foreign object": POSITIVE} and records["train/00002.jpg"].labels == {
        "foreign object": NEGATIVE
    }
    assert areas(records["train/00003.jpg"])[0] == pytest.approx(np.pi * 20 * 10, rel=0.02)


def test_protocols(source, tmp_path):
    _, splits = prepared("object_cxr", source, tmp_path, "official")
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 2}
    _, splits = prepared("object_cxr", source, tmp_path, "dev-as-test")
    assert set(splits["test"]) == {"dev/08001.jpg", "dev/08002.jpg"}


def test_odd_annotations_are_set_aside(source):
    natives.put(
        source / "dev.csv",
        "image_name,annotation\n08001.jpg,3 1 1 5 5;0 1 1 5;2 1 1 5 5;1 a b c d;0 100 1 120 9\n,0 1 1 2 2\n08002.jpg,\n",
    )
    records, aside = read("object_cxr", source)
    assert len(records["dev/08001.jpg"].boxes) == 0 and records["dev/08001.jpg"].labels["foreign object"] == POSITIVE
    assert reasons(aside) == [
        "an annotation of unknown type 3", "an annotation is not pairs of numbers", "an annotation has too few points",
        "an annotation is not pairs of numbers", "a box is empty or outside the image", "a mask is empty",
        "a row without image_name",
    ]  # fmt: skip
    (source / "dev.csv").unlink()
    with pytest.raises(UserError, match=r"expected dev.csv; found"):
        read("object_cxr", source)
