"""Boxes and masks as bins and polygons, and back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unimedvlp.errors import UserError
from unimedvlp.tokens import geometry

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def without_holes(mask):
    """Everything that the outside (4-connected: a pixel's diagonal neighbours close a ring) does not reach."""
    padded = np.pad(mask, 1).astype(np.uint8)
    cv2.floodFill(padded, None, (0, 0), 2, flags=4)
    return padded[1:-1, 1:-1] != 2


def blob(rng, height, width):
    """A smooth star-shaped mask."""
    angles, waves = np.linspace(0, 2 * np.pi, 400, endpoint=False), np.arange(1, 5)
    size = rng.normal(size=(2, 4)) / (3 * waves**1.5)
    radius = np.exp(size[0] @ np.sin(np.outer(waves, angles)) + size[1] @ np.cos(np.outer(waves, angles)))
    radius *= 0.45 / radius.max()
    part = np.stack([0.5 + radius * np.sin(angles), 0.5 + radius * np.cos(angles)], axis=1)
    return geometry.rasterize([part], height, width)


@given(hnp.arrays(np.float32, (5, 4), elements=st.floats(0, 1, width=32)))
def test_bins_are_at_most_half_a_bin_away(values):
    bins = geometry.quantize(values)
    assert bins.min() >= 0 and bins.max() <= 999
    assert np.abs(geometry.dequantize(bins) - values).max() <= 0.5 / 999 + 1e-7
    np.testing.assert_array_equal(geometry.quantize(geometry.dequantize(bins)), bins)


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_nothing_outside_is_clipped_silently(value):
    with pytest.raises(UserError, match="outside the image"):
        geometry.quantize(np.array([0.5, value]))


def test_boxes_must_be_boxes():
    assert geometry.check_boxes(np.array([[0.2, 0.3, 0.2, 0.3]])).shape == (1, 4), "a box without area is one"
    with pytest.raises(UserError, match="ends before it begins"):
        geometry.check_boxes(np.array([[0.5, 0.1, 0.4, 0.2]]))
    with pytest.raises(UserError, match=r"shape \[4\], expected \[K, 4\]"):
        geometry.check_boxes(np.zeros(4))


@given(masks)
def test_outlines_of_any_mask_are_exact_but_for_holes(mask):
    """With points to spare nothing is lost: thin lines, diagonals, borders, single pixels, components within holes."""
    parts, dropped = geometry.polygons(mask, points=10**6)
    assert dropped == 0
    np.testing.assert_array_equal(geometry.rasterize(parts, *mask.shape), without_holes(mask))


@given(masks, st.integers(4, 60))
def test_points_stay_within_the_budget_and_dropped_components_are_counted(mask, points):
    parts, dropped = geometry.polygons(mask, points)
    count = cv2.connectedComponents(without_holes(mask).astype(np.uint8), connectivity=8)[0] - 1
    assert len(parts) + dropped == count
    assert sum(map(len, parts)) <= points
    for part in parts:
        assert len(part) >= geometry.MIN_POINTS and part.min() >= 0 and part.max() <= 1
        assert tuple(part[0]) == min(map(tuple, part)), "begins at the top-most point"


@pytest.mark.parametrize("seed", range(6))
def test_smooth_masks_survive_bins_and_points(seed):
    rng = np.random.default_rng(seed)
    mask = blob(rng, int(rng.integers(60, 300)), int(rng.integers(60, 300)))
    for points, least in ((128, 0.98), (32, 0.95)):
        parts = [geometry.dequantize(geometry.quantize(part)) for part in geometry.polygons(mask, points).parts]
        assert dice(geometry.rasterize(parts, *mask.shape), mask) >= least


def test_outline_runs_clockwise_along_the_pixel_sides():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    (part,) = geometry.polygons(mask).parts
    expected = [(1, 1.5), (1, 2.5), (1.5, 3), (2.5, 3), (3, 2.5), (3, 1.5), (2.5, 1), (1.5, 1)]
    np.testing.assert_allclose(part * 4, expected)


def test_the_largest_components_are_kept():
    mask = np.zeros((100, 100), bool)
    mask[5:55, 5:55] = mask[60:90, 60:90] = True
    for i in range(30):
        mask[95 + i // 15 * 2, 2 + i % 15 * 3] = True
    parts, dropped = geometry.polygons(mask, 64)
    assert [len(part) for part in parts] == [40, 23] and dropped == 30
    assert dice(geometry.rasterize(parts, 100, 100), mask) > 0.97


def test_a_component_has_its_place_before_all_smaller_ones():
    mask = np.zeros((40, 40), bool)
    mask[2:22, 2:22] = mask[25:29, 2:6] = mask[32, 2:17] = True  # the last is smaller than the second, but longer
    assert [len(part) for part in geometry.polygons(mask, 20).parts] == [20]
    assert len(geometry.polygons(mask, 40).parts) == 3


def test_masks_at_the_border_and_empty_ones():
    full = np.ones((7, 9), bool)
    np.testing.assert_array_equal(geometry.rasterize(geometry.polygons(full).parts, 7, 9), full)
    assert geometry.polygons(np.zeros((7, 9), bool)) == ([], 0)
    assert not geometry.rasterize([], 7, 9).any()


def test_holes_are_filled():
    ring = np.zeros((9, 9), np.uint8)
    ring[1:8, 1:8] = 255
    ring[3:6, 3:6] = 0
    ring[4, 4] = 255
    parts, dropped = geometry.polygons(ring)
    assert len(parts) == 1 and dropped == 0
    assert geometry.rasterize(parts, 9, 9).sum() == 49


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_filling_equals_a_point_by_point_winding_number(seed):
    corners = np.random.default_rng(seed).uniform(-0.1, 1.1, (7, 2))
    mask = geometry.rasterize([corners], 12, 17)
    centres = np.stack(np.meshgrid((np.arange(12) + 0.5) / 12, (np.arange(17) + 0.5) / 17, indexing="ij"), axis=-1)
    rays = np.arctan2(*np.moveaxis(corners - centres[:, :, None], -1, 0))
    turns = np.angle(np.exp(1j * (np.roll(rays, -1, axis=-1) - rays))).sum(axis=-1)
    np.testing.assert_array_equal(mask, np.rint(turns / (2 * np.pi)) != 0)
