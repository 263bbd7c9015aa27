"""Overlap and distance of masks, with empty masks defined.

Two empty masks agree: Dice 1, IoU 1, distance 0. If one alone is empty, nothing is found: Dice 0, IoU 0, and the distance
is the longest that the image has, its diagonal, so that a missed object never makes the mean better.
"""

import numpy as np
from scipy import ndimage


def dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of masks bool `[H, W]`."""
    total = np.count_nonzero(predicted) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(predicted & truth) / total if total else 1.0


def mask_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """|A and B| / |A or B| of masks bool `[H, W]`."""
    union = np.count_nonzero(predicted | truth)
    return np.count_nonzero(predicted & truth) / union if union else 1.0


def hd95(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The 95th percentile of the distances, in pixels, from each border's pixels to the other border, both ways together.

    Masks bool `[H, W]`; a border pixel is one inside that has a neighbour outside, above, below or beside it.
    """
    if not predicted.any() or not truth.any():
        return 0.0 if predicted.any() == truth.any() else float(np.hypot(*truth.shape))
    one, other = _border(predicted), _border(truth)
    there = ndimage.distance_transform_edt(~other)[one]
    back = ndimage.distance_transform_edt(~one)[other]
    return float(np.percentile(np.concatenate([there, back]), 95))


def _border(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)
