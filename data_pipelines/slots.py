"""The annotations of a record as arrays of fixed shape: K objects with boxes, classes and masks, and G image labels."""

import cv2
import numpy as np

from unimedvlp import objects
from unimedvlp.records import NEGATIVE, POSITIVE, Record
from unimedvlp.tokens.vocabulary import CLASS_START, Vocabulary

_VALUES = {POSITIVE: 1.0, NEGATIVE: 0.0}


def annotations(
    record: Record, vocabulary: Vocabulary, count: int, mask_size: int, labels: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], int]:
    """Arrays of one record, and how many of its objects found no place in the `count` = K slots (the last ones).

    With K > 0: `boxes` float32 `[K, 4]`, `classes` int32 `[K]` (positions in the class registry), `object_mask` bool `[K]`,
    and `annotated` bool, False where nobody marked an object. With `mask_size` = h = w also `masks` uint8 `[K, h, w]` (0 or
    1) and `has_mask` bool `[K]`. With G `labels` also `labels` float32 `[G]` (1, 0, nan = unknown or uncertain). Always
    `labelled` bool: whether any of these is known. UserError for a class that the registry does not have.
    """
    found = objects.of_record(record) if count else objects.of_record(Record(record.study_id))
    kept = min(len(found.classes), count)
    arrays: dict[str, np.ndarray] = {}
    if count:
        arrays["boxes"] = np.zeros((count, 4), np.float32)
        arrays["boxes"][:kept] = found.boxes[:kept]
        arrays["classes"] = np.zeros(count, np.int32)
        arrays["classes"][:kept] = [vocabulary.class_id(name) - CLASS_START for name in found.classes[:kept]]
        arrays["object_mask"] = np.arange(count) < kept
        arrays["annotated"] = np.bool_(kept > 0)
    if count and mask_size:
        arrays["masks"] = np.zeros((count, mask_size, mask_size), np.uint8)
        arrays["has_mask"] = np.zeros(count, bool)
        for slot, mask in enumerate(found.masks[:kept]):
            if mask is not None:
                arrays["masks"][slot] = shrink(mask, mask_size)
                arrays["has_mask"][slot] = True
    known = False
    if labels:
        arrays["labels"] = np.array([_VALUES.get(record.labels.get(name), np.nan) for name in labels], np.float32)
        known = not np.isnan(arrays["labels"]).all()
    return arrays | {"labelled": np.bool_(known or kept > 0)}, len(found.classes) - kept


def shrink(mask: np.ndarray, size: int) -> np.ndarray:
    """A mask bool `[H, W]` as uint8 `[size, size]` of 0 and 1: pixels at least half covered."""
    area = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return (area >= 0.5).astype(np.uint8)
