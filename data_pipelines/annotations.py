"""Boxes and masks as owners write them, made into what a record holds.

Pixel coordinates run from the image's upper left corner; pixel (row, column) covers column..column + 1 and row..row + 1.
A mask is bool `[H, W]`; a pixel belongs to a polygon or ellipse that holds its centre.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from data_pipelines.images import encode_png
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError

ROUNDING = 1.0  # pixels that a box may reach over the border, as rounded and 1-based coordinates do
SHAPE_TOLERANCE = 0.02  # of width / height between an image and what was drawn on it


class Objects:
    """Collects boxes and masks of one image `[height, width]`; whatever cannot be used goes to `aside`, with the reason."""

    def __init__(self, study_id: str, height: float, width: float, where: str):
        self.study_id, self.where = study_id, where
        self.height, self.width = height, width
        self.aside: list[SetAside] = []
        self._boxes: dict[tuple[str, bytes], np.ndarray] = {}
        self._masks: list[tuple[str, bytes]] = []

    def refuse(self, reason: str, where: str = "") -> None:
        """Set one annotation aside."""
        self.aside.append(SetAside(self.study_id, reason, f"{self.where} {where}".strip()))

    def box(self, name: str, xmin: Any, ymin: Any, xmax: Any, ymax: Any, where: str = "") -> None:
        """Add a box given in pixels, as numbers or text; what lies outside the image is cut off."""
        try:
            x = np.array([float(xmin), float(xmax)])
            y = np.array([float(ymin), float(ymax)])
        except (TypeError, ValueError):
            return self.refuse("a box is not four numbers", where)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return self.refuse("a box is not four numbers", where)
        inside_x, inside_y = x.clip(0, self.width), y.clip(0, self.height)
        box = np.array([inside_y[0], inside_x[0], inside_y[1], inside_x[1]])
        box = (box / [self.height, self.width, self.height, self.width]).astype(np.float32)
        if box[2] <= box[0] or box[3] <= box[1]:
            return self.refuse("a box is empty or outside the image", where)
        if max(np.abs(inside_x - x).max(), np.abs(inside_y - y).max()) > ROUNDING:
            self.refuse("part of a box is outside the image: cut off", where)
        if (name, box.tobytes()) in self._boxes:
            return self.refuse("the same box twice", where)
        self._boxes[name, box.tobytes()] = box

    def sized_box(self, name: str, xmin: Any, ymin: Any, width: Any, height: Any, where: str = "") -> None:
        """Add a box given by its corner and size in pixels."""
        try:
            xmin, ymin, width, height = (float(value) for value in (xmin, ymin, width, height))
        except (TypeError, ValueError):
            return self.refuse("a box is not four numbers", where)
        self.box(name, xmin, ymin, xmin + width, ymin + height, where)

    def mask(self, name: str, mask: np.ndarray, where: str = "") -> None:
        """Add a mask `[H, W]` of the image's shape at any size, non-zero inside."""
        rows, columns = mask.shape
        if abs(columns / rows * self.height / self.width - 1) > SHAPE_TOLERANCE:
            return self.refuse(f"a mask of {columns}x{rows} on an image of {self.width}x{self.height}", where)
        if not mask.any():
            return self.refuse("a mask is empty", where)
        self._masks.append((name, encode_png((mask != 0) * np.uint8(255))))

    def fields(self) -> dict[str, Any]:
        """The fields of a record."""
        return {
            "boxes": np.array(list(self._boxes.values()), np.float32).reshape(-1, 4),
            "box_classes": tuple(name for name, _ in self._boxes),
            "masks": tuple(data for _, data in self._masks),
            "mask_classes": tuple(name for name, _ in self._masks),
        }


def polygon(points: Sequence[float], height: int, width: int) -> np.ndarray:
    """The mask of a polygon x1 y1 x2 y2 ...; where it crosses itself, the even-odd rule. UserError for fewer than 3 points."""
    try:
        corners = np.asarray(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise UserError("a polygon is not pairs of numbers") from None
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise UserError("a polygon has fewer than three corners" if len(corners) < 3 else "a polygon is not finite")
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    first, last = (np.clip(np.ceil(f(y0, y1) - 0.5), 0, height).astype(int) for f in (np.minimum, np.maximum))
    counts = last - first  # rows whose centres the edge passes
    edge = np.repeat(np.arange(len(corners)), counts)
    row = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts) + first[edge]
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    column = np.clip(np.ceil(x0[edge] + (row + 0.5 - y0[edge]) * slope - 0.5), 0, width).astype(int)
    crossings = np.zeros((height, width + 1), np.int32)
    np.add.at(crossings, (row, column), 1)
    return crossings.cumsum(axis=1)[:, :width] % 2 == 1


def ellipse(xmin: float, ymin: float, xmax: float, ymax: float, height: int, width: int) -> np.ndarray:
    """The mask of the upright ellipse that fills a box."""
    y, x = np.ogrid[0.5:height, 0.5:width]
    across, down = max(xmax - xmin, 1e-6) / 2, max(ymax - ymin, 1e-6) / 2
    return ((x - (xmin + xmax) / 2) / across) ** 2 + ((y - (ymin + ymax) / 2) / down) ** 2 <= 1


def rectangle(xmin: float, ymin: float, xmax: float, ymax: float, height: int, width: int) -> np.ndarray:
    """The mask of a box."""
    return polygon((xmin, ymin, xmax, ymin, xmax, ymax, xmin, ymax), height, width)


def relative_runs(text: str, height: int, width: int) -> np.ndarray:
    """The mask of SIIM-ACR's runs, "gap length gap length ...", column by column, each gap from the end of the last run.

    Raises UserError for runs that are no pairs of whole numbers or reach over the end of the image.
    """
    try:
        runs = np.array([int(word) for word in text.split()], np.int64)
    except (ValueError, OverflowError):
        runs = np.zeros(0, np.int64)
    if not len(runs) or len(runs) % 2:
        raise UserError("runs are not pairs of whole numbers")
    return _columns(runs, height, width)


def coco_runs(counts: Sequence[int] | str | bytes, height: int, width: int) -> np.ndarray:
    """The mask of COCO's run lengths (outside, inside, outside, ...), column by column, as a list or compressed to text."""
    if isinstance(counts, str | bytes):
        counts = _inflate(counts.encode() if isinstance(counts, str) else counts)
    try:
        runs = np.array([int(count) for count in counts], np.int64)
    except (TypeError, ValueError, OverflowError):
        raise UserError("run lengths are not whole numbers") from None
    if runs.sum() != height * width:
        raise UserError(f"runs cover {runs.sum()} pixels of {height * width}")
    return _columns(runs, height, width)


def label_map(data: bytes) -> np.ndarray:
    """Encoded image bytes as class numbers `[H, W]`: grey values, palette indices or bits. UserError for colour or damage."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"unreadable mask: {error}") from None
    if values.ndim == 3:
        colour = values[..., :3]  # an alpha channel says nothing
        if (colour != colour[..., :1]).any():
            raise UserError("a mask in colours: expected grey values or a palette")
        values = colour[..., 0]
    return values.astype(np.int32)


def _columns(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """Run lengths outside, inside, outside, ... from the upper left corner downwards, as a mask."""
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() > height * width:
        raise UserError("runs reach over the end of the image")
    flat = np.zeros(height * width, bool)
    flat[: runs.sum()] = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _inflate(text: bytes) -> list[int]:
    """COCO's text form: base-32 digits from 48 on, low ones first, each number from the fourth on a difference to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for digit in text:
        digit -= 48
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4)  # sign
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
