"""Dice, IoU and Hausdorff distance against scipy and by hand, and what is true of empty masks."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, jaccard
from scipy.spatial.distance import dice as scipy_dice

from unimedvlp import runs
from unimedvlp.evaluation.overlap import dice, hd95, mask_iou
from unimedvlp.evaluation.segmentation import as_mask, segmentation

EMPTY = np.zeros((6, 8), bool)


def noise(seed, share=0.3, shape=(20, 24)):
    return np.random.default_rng(seed).random(shape) < share


def border(mask):
    """Pixels inside with a neighbour outside, by comparing shifted copies."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inner)


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_and_distance_equal_plain_computations(seed):
    one, other = noise(seed), noise(seed + 50, 0.05)
    assert dice(one, other) == pytest.approx(1 - scipy_dice(one.ravel(), other.ravel()))
    assert mask_iou(one, other) == pytest.approx(1 - jaccard(one.ravel(), other.ravel()))
    distances = cdist(border(one), border(other))
    both = np.concatenate([distances.min(1), distances.min(0)])
    assert hd95(one, other) == pytest.approx(np.percentile(both, 95))
    assert hd95(other, one) == pytest.approx(hd95(one, other))


def test_a_mask_moved_by_three_pixels_is_three_away():
    one, other = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    one[5:20, 5:20], other[5:20, 8:23] = True, True
    assert hd95(one, other) == 3 and hd95(one, one) == 0


def test_empty_masks_are_defined():
    some = EMPTY.copy()
    some[2, 3] = True
    assert (dice(EMPTY, EMPTY), mask_iou(EMPTY, EMPTY), hd95(EMPTY, EMPTY)) == (1, 1, 0)
    for pair in ((EMPTY, some), (some, EMPTY)):
        assert (dice(*pair), mask_iou(*pair), hd95(*pair)) == (0, 0, 10)  # the diagonal of 6 x 8


def test_masks_are_compared_at_the_size_of_the_truth():
    truth = np.zeros((8, 8), bool)
    truth[2:6, 2:6] = True
    square = {"polygons": [[0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 0.25]]}
    coarse = runs.encode(truth[::2, ::2])
    for drawn in (square, coarse, runs.encode(truth)):
        np.testing.assert_array_equal(as_mask(drawn, 8, 8), truth)
    assert not as_mask(None, 8, 8).any() and not as_mask({"polygons": []}, 8, 8).any()


def test_means_by_class():
    full = runs.encode(np.ones((4, 4), bool))
    half = {"polygons": [[0, 0, 0, 1, 0.5, 1, 0.5, 0]]}
    metric = segmentation([full, half, None], [full] * 3, ["lung", "lung", "heart"], np.arange(3))
    values = metric.point()
    assert values["dice"] == pytest.approx((1 + 2 / 3) / 3) and values["dice/lung"] == pytest.approx(5 / 6)
    assert values["dice/heart"] == 0 and metric.counts["dice/lung"] == 2
    assert values["iou"] == pytest.approx(0.5)
