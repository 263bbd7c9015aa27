"""The objects of a record: its boxes and its masks, brought together."""

from typing import NamedTuple

import cv2
import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.records import Record

SAME = 0.5  # IoU of a box and a mask's own box from which they are taken for the same object


class Objects(NamedTuple):
    """N objects: boxes float32 `[N, 4]` (ymin xmin ymax xmax in 0..1), class names, masks bool `[H, W]` or None."""

    boxes: np.ndarray
    classes: tuple[str, ...]
    masks: tuple[np.ndarray | None, ...]


def of_record(record: Record) -> Objects:
    """The boxes in their order, each with the mask that shows the same object, then the masks that no box has, in theirs.

    Records keep both lists apart, since many sources have only one. A mask belongs to the box of its class that its own box
    overlaps most, by an IoU of at least `SAME` (our rule); the box's class may be narrower ("left lung" for "lung"), and is then
    the object's. A mask without a box gets its own. Empty masks are no objects.
    """
    masks = [decode_mask(data) for data in record.masks]
    kept = [(name, mask) for name, mask in zip(record.mask_classes, masks, strict=True) if mask.any()]
    boxes, classes = list(np.asarray(record.boxes, np.float32).reshape(-1, 4)), list(record.box_classes)
    own = np.array([box_of(mask) for _, mask in kept]).reshape(-1, 4)
    overlap = iou(np.array(boxes).reshape(-1, 4), own)
    related = [[is_a(name, other) for other, _ in kept] for name in classes]
    overlap *= np.array(related, float).reshape(overlap.shape)
    found: list[np.ndarray | None] = [None] * len(boxes)
    free = set(range(len(kept)))
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        box, mask = divmod(int(flat), len(kept))
        if overlap[box, mask] < SAME:
            break
        if found[box] is None and mask in free:
            found[box] = kept[mask][1]
            free.remove(mask)
    for mask in sorted(free):
        boxes.append(own[mask])
        classes.append(kept[mask][0])
        found.append(kept[mask][1])
    return Objects(np.array(boxes, np.float32).reshape(-1, 4), tuple(classes), tuple(found))


def is_a(name: str, other: str) -> bool:
    """Whether a class is another one or a kind of it, by its last words: a "left lung" is a "lung"."""
    return name == other or name.endswith(f" {other}")


def decode_mask(data: bytes) -> np.ndarray:
    """An encoded mask as bool `[H, W]`, True inside. UserError where it cannot be read."""
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise UserError(f"a mask of {len(data)} bytes is damaged")
    return mask != 0


def box_of(mask: np.ndarray) -> np.ndarray:
    """The tight box float32 `[4]` (ymin xmin ymax xmax in 0..1) around a mask bool `[H, W]` that is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = mask.shape
    box = (rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width)
    return np.array(box, np.float32)


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union float64 `[N, M]` of boxes `[N, 4]` and `[M, 4]`; 0 where both have no area."""
    one, other = np.asarray(one, np.float64)[:, None], np.asarray(other, np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (one, other)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)
