"""Augmentation of uint8 images with boxes, masks and side words kept consistent; random only through the given generator."""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from data_pipelines.images import IDENTITY, move_boxes
from unimedvlp.records import Record

# Words that a mirror image would make untrue. Case matters only for the bare letters; to err is to skip a flip.
_SIDE = re.compile(
    r"\b(?:(?i:left|right|dextro|levo|laevo|izquierd|derech)"
    r"|(?i:[lr](?:[uml]l|[ul][qez]|[av]|ca|ij|sc|cc|mlo|bb|t)\b)"
    r"|[LR]\b)"
)


@dataclasses.dataclass(frozen=True)
class Augment:
    """Strengths of augmentation; the defaults leave images as they are.

    The geometry is one for all views and masks of an example; brightness, contrast, gamma and noise differ by view.
    """

    crop: float = 1.0  # smallest fraction of the area that the random crop keeps
    rotate: float = 0.0  # largest angle, degrees
    shift: float = 0.0  # largest shift, fraction of the side
    flip: float = 0.0  # probability of a horizontal flip, where no text names a side
    brightness: float = 0.0  # largest change, fraction of full scale
    contrast: float = 0.0  # largest relative change
    gamma: float = 0.0  # largest |ln gamma|
    noise: float = 0.0  # largest standard deviation, grey levels
    min_visible: float = 0.25  # boxes and masks with less than this fraction left in the picture are dropped

    @property
    def moves(self) -> bool:
        """Whether any geometric change is on."""
        return self.crop < 1 or self.rotate > 0 or self.shift > 0 or self.flip > 0


@dataclasses.dataclass(frozen=True)
class Augmented:
    """Images `[S, S, C]` and masks `[S, S]`, boxes `[M, 4]` clipped to 0..1; `*_kept` mark which of the given ones remain."""

    images: list[np.ndarray]
    boxes: np.ndarray
    boxes_kept: np.ndarray
    masks: list[np.ndarray]
    masks_kept: np.ndarray
    geometry: np.ndarray


def augment(
    images: Sequence[np.ndarray],
    boxes: np.ndarray,
    masks: Sequence[np.ndarray],
    rng: np.random.Generator,
    config: Augment,
    allow_flip: bool,
    size: int | None = None,
) -> Augmented:
    """Augment images `[H, W, C]` of one example with its boxes `[N, 4]` and masks `[H, W]` (non-zero = inside).

    `size` is the side of the square result (default H): images handed in larger lose no detail when cropped.
    """
    geometry = random_geometry(rng, config, allow_flip) if config.moves else IDENTITY
    moved = [_warp(image, geometry, size or image.shape[0], cv2.INTER_LINEAR) for image in images]
    boxes, boxes_kept = _visible_boxes(boxes, geometry, config.min_visible)
    masks, masks_kept = _visible_masks(masks, geometry, size, config.min_visible)
    return Augmented([photometric(i, rng, config) for i in moved], boxes, boxes_kept, masks, masks_kept, geometry)


def random_geometry(rng: np.random.Generator, config: Augment, allow_flip: bool) -> np.ndarray:
    """Crop, rotation, shift and flip as one affine `[3, 3]` on 0..1 coordinates of a square image."""
    side = math.sqrt(rng.uniform(config.crop, 1.0))
    angle = math.radians(rng.uniform(-config.rotate, config.rotate))
    centre = rng.uniform(side / 2, 1 - side / 2, size=2) - rng.uniform(-config.shift, config.shift, size=2)
    mirror = -1.0 if rng.random() < config.flip and allow_flip else 1.0
    cos, sin = math.cos(angle) / side, math.sin(angle) / side
    turn = np.array([[mirror * cos, -mirror * sin], [sin, cos]])
    geometry = np.eye(3)
    geometry[:2, :2] = turn
    geometry[:2, 2] = 0.5 - turn @ centre
    return geometry


def photometric(image: np.ndarray, rng: np.random.Generator, config: Augment) -> np.ndarray:
    """Gamma, contrast and brightness by one look-up table, then Gaussian noise; uint8 `[H, W, C]` to the same."""
    if config.brightness or config.contrast or config.gamma:
        gamma = np.exp(rng.uniform(-config.gamma, config.gamma))
        gain = 1 + rng.uniform(-config.contrast, config.contrast)
        offset = rng.uniform(-config.brightness, config.brightness)
        table = ((np.arange(256) / 255) ** gamma - 0.5) * gain + 0.5 + offset
        image = cv2.LUT(image, np.clip(np.rint(table * 255), 0, 255).astype(np.uint8)).reshape(image.shape)
    if config.noise:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, config.noise))
        image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    return image


def names_side(record: Record) -> bool:
    """Whether any text that the record carries names left or right, also by abbreviations such as LLL or RUL."""
    return any(_SIDE.search(text) for text in _texts(record))


def _texts(record: Record) -> Iterator[str]:
    for field in ("indication", "findings", "impression", "caption", "premise", "hypothesis", "text", "text_label"):
        yield getattr(record, field)
    yield record.body_part
    yield from record.views
    yield from (name.replace("_", " ") for name in (*record.labels, *record.box_classes, *record.mask_classes))
    for item in record.qa:
        yield item.question
        yield item.answer


def _warp(image: np.ndarray, geometry: np.ndarray, size: int, interpolation: int) -> np.ndarray:
    height, width = image.shape[:2]
    if geometry is IDENTITY and height == width == size:
        return image
    # From pixel centres to 0..1 of the image, through the geometry, to pixel centres of the result.
    matrix = size * geometry[:2]
    matrix[:, 2] += matrix[:, 0] * 0.5 / width + matrix[:, 1] * 0.5 / height - 0.5
    matrix[:, 0] /= width
    matrix[:, 1] /= height
    warped = cv2.warpAffine(image, matrix, (size, size), flags=interpolation, borderValue=0)
    return warped.reshape(size, size, *image.shape[2:])


def _visible_boxes(boxes: np.ndarray, geometry: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    if not len(boxes):
        return np.zeros((0, 4), np.float32), np.zeros(0, bool)
    moved = move_boxes(boxes, geometry)
    clipped = np.clip(moved, 0, 1)
    kept = _areas(clipped) > least * _areas(moved)
    return clipped[kept], kept


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def _visible_masks(
    masks: Sequence[np.ndarray], geometry: np.ndarray, size: int | None, least: float
) -> tuple[list[np.ndarray], np.ndarray]:
    if not masks:
        return [], np.zeros(0, bool)
    zoom = abs(np.linalg.det(geometry[:2, :2]))
    moved, kept = [], np.zeros(len(masks), bool)
    for i, mask in enumerate(masks):
        warped = _warp(mask, geometry, size or mask.shape[0], cv2.INTER_NEAREST)
        expected = np.count_nonzero(mask) / mask.size * zoom * warped.size  # pixels, were the picture endless
        kept[i] = np.count_nonzero(warped) > least * expected
        if kept[i]:
            moved.append(warped)
    return moved, kept
