"""Images made smaller for storage: sizes, encodings, and annotations that stay true."""

import cv2
import numpy as np
import pytest

from data_pipelines import images
from data_pipelines.shrink import shrink
from unimedvlp.records import Record


def scene(height, width, channels=1, dtype=np.uint8):
    y, x = np.mgrid[0:height, 0:width] / max(height, width) * 3
    planes = [0.5 + 0.4 * np.sin(x + i) * np.cos(y) for i in range(channels)]
    return (np.stack(planes, axis=-1).squeeze() * np.iinfo(dtype).max).astype(dtype)


def encoded(image, suffix):
    return cv2.imencode(suffix, image)[1].tobytes()


def small(data, side=60, **fields):
    return shrink(Record("s", images=(data,), views=("frontal",), **fields), side)


@pytest.mark.parametrize(
    ("suffix", "channels", "dtype"),
    [
        (".png", 1, np.uint8),
        (".png", 3, np.uint8),
        (".png", 1, np.uint16),
        (".jpg", 1, np.uint8),
        (".jpg", 3, np.uint8),
    ],
)
def test_the_shorter_side_gets_the_size_and_the_encoding_stays(suffix, channels, dtype):
    image = scene(250, 400, channels, dtype)
    data = small(encoded(image, suffix)).images[0]
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = cv2.resize(image, (96, 60), interpolation=cv2.INTER_AREA)
    assert data.startswith(images.PNG if suffix == ".png" else images.JPEG)
    assert found.shape == expected.shape and found.dtype == dtype
    error = np.abs(found.astype(int) - expected.astype(int))
    assert error.max() == 0 if suffix == ".png" else (error.mean() < 1.5 and error.max() <= 10)


def test_small_images_stay_byte_for_byte():
    for suffix in (".png", ".jpg"):
        data = encoded(scene(60, 90), suffix)
        assert small(data).images == (data,)


def test_masks_follow_and_none_vanishes():
    half, dot = np.zeros((2, 250, 400), np.uint8)
    half[:, 200:] = 1
    dot[100, 100] = 255
    record = small(
        encoded(scene(250, 400), ".png"), masks=(encoded(half, ".png"), encoded(dot, ".png")), mask_classes=("a", "b")
    )
    left, point = (images.decode(mask, channels=1)[..., 0] for mask in record.masks)
    assert left.shape == point.shape == (60, 96) == images.decode(record.images[0], channels=1).shape[:2]
    assert set(np.unique(left)) == {0, 255} and (left > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert 1 <= np.count_nonzero(point) <= 4 and np.argwhere(point).mean(axis=0) == pytest.approx([24, 24], abs=1)


def test_a_box_lies_on_the_same_pixels_as_before():
    image = np.zeros((300, 500), np.uint8)
    image[60:180, 200:400] = 255
    box = np.array([[0.2, 0.4, 0.6, 0.8]], np.float32)
    record = small(encoded(image, ".png"), boxes=box, box_classes=("x",))
    pixels = images.decode(record.images[0], channels=1)[..., 0]
    top, left, bottom, right = (record.boxes[0] * np.array([60, 100, 60, 100])).round().astype(int)
    assert pixels[top:bottom, left:right].min() == 255
    assert pixels.sum() == 255 * (bottom - top) * (right - left)


def test_a_reduced_decode_is_close_to_a_full_one():
    image = scene(1024, 1024)
    data = encoded(image, ".jpg")
    reduced = images.decode(small(data, 100).images[0], channels=1)[..., 0]
    full = cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - full).max() <= 3
