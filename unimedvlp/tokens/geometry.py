"""Boxes and masks as coordinates of 1,000 bins, and back.

Coordinates are fractions of the image's height and width, y before x; pixel (row, column) covers row..row + 1 and
column..column + 1, and belongs to a polygon that holds its centre. Bins and polygons follow pix2seq (Chen et al., 2022).
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.tokens.vocabulary import COORDINATE_BINS

MAX_POINTS = 128
MIN_POINTS = 3  # of a polygon
_MIN_SHARE = 4  # points that a component of a mask must get to be worth its place


class Polygons(NamedTuple):
    """Outlines of a mask's components, float32 [k, 2] (y, x) in 0..1, largest first, and how many had to be left out."""

    parts: list[np.ndarray]
    dropped: int


def quantize(values: np.ndarray) -> np.ndarray:
    """Fractions in 0..1 of any shape as bins 0..999. UserError for what is outside or no number: nothing is clipped here."""
    values = np.asarray(values, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError("coordinates reach outside the image (expected fractions in 0..1)")
    return np.rint(values * (COORDINATE_BINS - 1)).astype(np.int64)


def dequantize(bins: np.ndarray) -> np.ndarray:
    """Bins of any shape as float32 fractions; `quantize` moved them by at most 0.5 / 999."""
    return (np.asarray(bins) / (COORDINATE_BINS - 1)).astype(np.float32)


def check_boxes(boxes: np.ndarray) -> np.ndarray:
    """Boxes float64 [K, 4] (ymin xmin ymax xmax). UserError for another shape or corners out of order; no area is allowed."""
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(f"boxes have shape {list(boxes.shape)}, expected [K, 4]")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise UserError("a box ends before it begins (expected ymin xmin ymax xmax)")
    return boxes


def polygons(mask: np.ndarray, points: int = MAX_POINTS) -> Polygons:
    """A mask [H, W] (non-zero = inside) as outer outlines of at most `points` points in all.

    Each runs clockwise from its top-most point (the left-most of several), its points evenly spaced along the outline, and
    components share the points by the length of their outlines. Small ones whose share would be under four points are
    dropped. Holes are filled, with whatever lies in them. An empty mask has no parts.
    """
    inside = (np.asarray(mask) != 0).astype(np.uint8)
    loops = sorted((_outline(loop) for loop in _contours(inside)), key=_area, reverse=True)
    if not loops:
        return Polygons([], 0)
    lengths = np.array([_arc(loop)[-1] for loop in loops])
    worthy = points * np.minimum.accumulate(lengths) >= _MIN_SHARE * lengths.cumsum()
    kept = max(1, np.flatnonzero(worthy).max(initial=-1) + 1)
    shares = np.maximum(points * lengths[:kept] / lengths[:kept].sum(), MIN_POINTS).astype(int)
    size = np.array(inside.shape)
    parts = [_resample(loop, n) / size for loop, n in zip(loops, shares, strict=False)]
    return Polygons([part.astype(np.float32) for part in parts], len(loops) - kept)


def rasterize(parts: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """The mask bool [height, width] of polygons [k, 2] in 0..1: their union; a polygon that crosses itself is filled whole."""
    mask = np.zeros((height, width), bool)
    for part in parts:
        mask |= _fill(np.asarray(part, np.float64) * (height, width), height, width)
    return mask


def _contours(inside: np.ndarray) -> Iterable[np.ndarray]:
    """Border pixels (x, y) of each outer contour at twice the scale, where even the thinnest part has two sides."""
    twice = inside.repeat(2, axis=0).repeat(2, axis=1)
    return (loop[:, 0] for loop in cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])


def _outline(border: np.ndarray) -> np.ndarray:
    """A contour at twice the scale as the middles (y, x) of the pixel sides that it follows, in order.

    The pixel corner nearest to each border pixel lies on the outline itself, and these come one pixel side after another.
    """
    corners = (border + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    middles = ((corners + np.roll(corners, -1, axis=0)) / 2)[:, ::-1]
    if _signed_area(middles) < 0:
        middles = middles[::-1]
    return np.roll(middles, -np.lexsort((middles[:, 1], middles[:, 0]))[0], axis=0)


def _signed_area(loop: np.ndarray) -> float:
    """Area in square pixels, positive for a loop that runs clockwise on the screen."""
    (y0, x0), (y1, x1) = loop.T, np.roll(loop, -1, axis=0).T
    return float((x0 * y1 - x1 * y0).sum() / 2)


def _area(loop: np.ndarray) -> float:
    return abs(_signed_area(loop))


def _arc(loop: np.ndarray) -> np.ndarray:
    """Length from the first point to each point and back to the first, [k + 1]."""
    steps = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    return np.concatenate([[0.0], steps.cumsum()])


def _resample(loop: np.ndarray, count: int) -> np.ndarray:
    """`count` points evenly spaced along a loop, the first one kept; the loop itself where it has no more than that."""
    if count >= len(loop):
        return loop
    arc, closed = _arc(loop), np.vstack([loop, loop[:1]])
    places = np.arange(count) * arc[-1] / count
    return np.stack([np.interp(places, arc, closed[:, axis]) for axis in (0, 1)], axis=1)


def _fill(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels whose centres a polygon [k, 2] (y, x in pixels) winds around."""
    (y0, x0), (y1, x1) = corners.T, np.roll(corners, -1, axis=0).T
    centres = np.arange(height) + 0.5
    below0, below1 = (y[:, None] <= centres for y in (y0, y1))
    edge, row = np.nonzero(below0 != below1)
    x = x0[edge] + (centres[row] - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
    column = np.ceil(x - 0.5).clip(0, width).astype(int)
    winding = np.zeros((height, width + 1), np.int32)
    np.add.at(winding, (row, column), np.where(below0[edge, row], 1, -1))
    return winding[:, :width].cumsum(axis=1) != 0
