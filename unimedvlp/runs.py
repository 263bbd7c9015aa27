"""Masks as run lengths, the form that JSON files carry: COCO's uncompressed one, column by column."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def encode(mask: np.ndarray) -> dict[str, Any]:
    """A mask bool `[H, W]` as `{"size": [H, W], "counts": [outside, inside, outside, ...]}`."""
    flat = np.asarray(mask, bool).T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0, append=flat.size).tolist()}


def decode(runs: Mapping[str, Any]) -> np.ndarray:
    """The mask bool `[H, W]` that `encode` wrote."""
    height, width = runs["size"]
    counts = np.asarray(runs["counts"], int)
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T
