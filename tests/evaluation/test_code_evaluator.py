"""Scores of pictures as codes have their known values."""

import numpy as np
import pytest

from unimedvlp.evaluation import codes


def test_psnr():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    off = images.copy()
    off[0] += 51  # a fifth of full scale: 20 log10(5)
    assert codes.psnr(images, off).point()["psnr"] == pytest.approx((20 * np.log10(5) + 100) / 2)


def test_dice_of_masks_of_any_size():
    one, none = np.eye(4, dtype=bool), np.zeros((3, 5), bool)
    half = one & (np.arange(4) < 2)
    assert codes.mask_dice([one, one, none], [one, half, none]).point()["dice"] == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert codes.mask_dice([none], [~none]).point()["dice"] == 0


def test_usage():
    even = np.tile(np.arange(8), (3, 2))
    assert codes.usage(even, 16).point() == pytest.approx({"perplexity": 8.0, "used": 0.5})
    assert codes.usage(np.zeros((3, 5), int), 10).point() == pytest.approx({"perplexity": 1.0, "used": 0.1})
    skewed = np.array([[0, 0, 0, 1]])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert codes.usage(skewed, 4).point()["perplexity"] == pytest.approx(np.exp(entropy))
    interval = codes.usage(np.array([[0, 0], [1, 1], [0, 1]]), 4).values(resamples=50)["perplexity"]
    assert interval.low <= interval.value <= interval.high and interval.count == 3


def test_baselines_look_at_nothing():
    found = codes.baselines([[1, 5], [1, 6], [2, 6]], 4)
    assert found["most frequent codes"] == [[1, 6]] * 4
    assert all(row in ([1, 5], [1, 6], [2, 6]) for row in found["random training picture"])
    assert codes.listed(range(20), first=3) == "0 1 2 ..." and codes.listed(None) == ""
