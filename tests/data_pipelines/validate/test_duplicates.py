"""Copies are found through compression, size and brightness; what only looks alike is not."""

import cv2
import numpy as np
import pytest

from data_pipelines.validate import duplicates
from data_pipelines.validate.duplicates import Duplicates, Place, correlation
from data_pipelines.validate.pictures import look, stencil


def scene(seed: int, size: int = 200) -> np.ndarray:
    """A smooth picture with blobs, as images of bodies are: uint8 [size, size]."""
    noise = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(smooth, None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8)


def encoded(pixels: np.ndarray, suffix: str = ".png", quality: int = 90) -> bytes:
    return cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [])[1].tobytes()


def groups(*images: bytes):
    found = Duplicates()
    for i, image in enumerate(images):
        found.add(Place("train" if i < 2 else "test", i, 0, f"s{i}"), look(image))
    return [([place.index for place in group.places], group.exact) for group in found.groups()]


COPIES = {
    "jpeg": lambda x: encoded(x, ".jpg", 60),
    "half size": lambda x: encoded(cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
    "colour": lambda x: encoded(cv2.cvtColor(x, cv2.COLOR_GRAY2BGR)),
    "brighter": lambda x: encoded(cv2.convertScaleAbs(x, alpha=0.9, beta=15)),
    "noise": lambda x: encoded(np.clip(x + np.random.default_rng(0).normal(0, 3, x.shape), 0, 255).astype(np.uint8)),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found(kind):
    first = scene(1)
    assert groups(encoded(first), encoded(scene(2)), COPIES[kind](first)) == [([0, 2], False)]


def test_equal_pixels_are_exact_whatever_the_file():
    first = scene(1)
    assert groups(
        encoded(first), encoded(first), cv2.imencode(".png", first, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()
    ) == [([0, 1, 2], True)]


def test_what_looks_alike_is_no_copy():
    body, lesion = scene(3), scene(3).copy()
    cv2.circle(lesion, (120, 90), 14, 250, -1)
    flipped = body[:, ::-1]
    assert groups(encoded(body), encoded(lesion), encoded(flipped), encoded(np.rot90(body))) == []


def test_images_of_one_colour_are_no_copies():
    assert groups(encoded(np.zeros((20, 20), np.uint8)), encoded(np.zeros((20, 20), np.uint8))) == []
    assert look(encoded(np.full((9, 9), 7, np.uint8))).constant and not look(encoded(scene(0))).constant


def test_blocks_find_what_one_comparison_finds(monkeypatch):
    pictures = [encoded(scene(i % 5), ".jpg", 95 - 10 * (i // 5)) for i in range(15)]
    whole = groups(*pictures)
    monkeypatch.setattr(duplicates, "BLOCK", 4)
    assert groups(*pictures) == whole and sorted(len(places) for places, _ in whole) == [3] * 5


def test_groups_across_splits_come_first():
    a, b = encoded(scene(1)), encoded(scene(2))
    found = Duplicates()
    for split, index, image in (("train", 0, a), ("train", 1, a), ("train", 2, b), ("test", 0, b)):
        found.add(Place(split, index, 0, ""), look(image))
    assert [group.splits for group in found.groups()] == [["train", "test"], ["train"]]


def test_correlation_is_pearsons():
    a, b = np.random.default_rng(0).integers(0, 255, (2, 4, 50), dtype=np.uint8)
    np.testing.assert_allclose(
        correlation(a, b), [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)], atol=1e-5
    )
    assert correlation(np.zeros((1, 5)), b[:1, :5])[0] == 0


def test_looks_say_what_is_wrong():
    data = encoded(scene(1))
    assert "cut off" in look(data[: len(data) // 2]).fault and "neither PNG nor JPEG" in stencil(b"x").fault
    deep = look(cv2.imencode(".png", scene(1).astype(np.uint16) * 200)[1].tobytes())
    assert (deep.height, deep.width, deep.fault) == (200, 200, "")
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5] = 1
    assert (stencil(encoded(mask)).height, stencil(encoded(mask)).width, stencil(encoded(mask)).inside) == (6, 8, 6)
