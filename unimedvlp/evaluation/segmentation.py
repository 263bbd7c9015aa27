"""Scores of predicted masks: Dice, IoU and 95 % Hausdorff distance, mask by mask, and overlap of instances."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from unimedvlp import runs
from unimedvlp.evaluation import bootstrap
from unimedvlp.evaluation.overlap import dice, hd95, mask_iou
from unimedvlp.tokens.geometry import rasterize


def as_mask(drawn: Mapping[str, Any] | None, height: int, width: int) -> np.ndarray:
    """A mask bool `[height, width]` of what was predicted: `{"polygons": [[y, x, y, x, ...], ...]}` in 0..1, or run lengths of
    any size; empty for None."""
    if drawn is None:
        return np.zeros((height, width), bool)
    if "counts" in drawn:
        mask = runs.decode(drawn)
        if mask.shape == (height, width):
            return mask
        larger = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        return larger >= 0.5
    return rasterize([np.array(part).reshape(-1, 2) for part in drawn["polygons"]], height, width)


def segmentation(
    predictions: Sequence[Mapping[str, Any] | None],
    truths: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    groups: np.ndarray,
) -> bootstrap.Metric:
    """dice, iou, hd95 (pixels of the truth's mask) and dice/<class>: means over samples `[N]`, at the truth's size.

    Truths are run lengths; groups int `[N]` are what intervals redraw.
    """
    rows = []
    for predicted, truth in zip(predictions, truths, strict=True):
        mask = runs.decode(truth)
        said = as_mask(predicted, *mask.shape)
        rows.append((dice(said, mask), mask_iou(said, mask), hd95(said, mask)))
    columns = dict(zip(("dice", "iou", "hd95"), np.array(rows).T, strict=True))
    here = {name: np.array([one == name for one in names]) for name in sorted(set(names))}
    by_class = {f"dice/{name}": np.where(where, columns["dice"], np.nan) for name, where in here.items()}
    return bootstrap.means(columns | by_class, groups)


def mask_overlap(predicted: Mapping[str, Any], truth: Mapping[str, Any], mine: np.ndarray, theirs: np.ndarray):
    """IoU float64 `[N, K]` of the instances at places `mine` and `theirs`: predicted `masks` (as `as_mask` reads them)
    against run lengths."""
    found = np.zeros((len(mine), len(theirs)))
    true = [runs.decode(truth["masks"][place]) for place in theirs]
    for row, place in enumerate(mine):
        for column, mask in enumerate(true):
            found[row, column] = mask_iou(as_mask(predicted["masks"][place], *mask.shape), mask)
    return found
