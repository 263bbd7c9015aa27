"""Average precision as COCO defines it, and FROC, with intervals over images; the point estimates equal faster-coco-eval's.

Detections are matched to objects once, image by image; under a resample of the images only the weights of the matches
change. An image's detections are its 100 best of each class; objects of every size count.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from unimedvlp.evaluation.bootstrap import Metric, ratio
from unimedvlp.objects import iou

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
FALSE_POSITIVES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)  # an image, at which FROC averages the sensitivity
BEST = 100
Found = Mapping[str, Any]  # boxes [N, 4], classes [N], for predictions scores [N]
Overlap = Callable[[Found, Found, np.ndarray, np.ndarray], np.ndarray]


class Ranked(NamedTuple):
    """All detections of one class, best first: image int [N], score [N], hit bool [T, N]; objects an image [I]."""

    image: np.ndarray
    score: np.ndarray
    hit: np.ndarray
    objects: np.ndarray


def box_overlap(predicted: Found, truth: Found, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """IoU of the boxes at places `mine` and `theirs`."""
    boxes = [np.asarray(found["boxes"], float).reshape(-1, 4) for found in (predicted, truth)]
    return iou(boxes[0][mine], boxes[1][theirs])


def detection(
    predictions: Sequence[Found],
    truths: Sequence[Found],
    groups: np.ndarray | None = None,
    overlap: Overlap = box_overlap,
    prefix: str = "",
) -> Metric:
    """map (IoU .5 to .95), ap50, ap75, ap50/<class> and froc, of predictions and truths an image `[I]`.

    Classes are those of the truths; detections of others are not looked at, as in COCO. froc is the mean sensitivity, all
    classes together, at `FALSE_POSITIVES` an image and IoU .5. `overlap` compares two lists of objects (default: boxes),
    `prefix` begins every name.
    """
    names = sorted({name for truth in truths for name in truth["classes"]})
    ranked = [_rank(predictions, truths, name, overlap) for name in names]

    def score(weights: np.ndarray) -> dict[str, np.ndarray]:
        by_class = np.stack([_average_precision(weights, one) for one in ranked], axis=1)  # [R, C, T]
        known = ~np.isnan(by_class)
        mean = ratio(np.where(known, by_class, 0).sum(1), known.sum(1).astype(float))  # [R, T]
        found = {"map": mean.mean(1), "ap50": mean[:, 0], "ap75": mean[:, 5], "froc": _froc(weights, ranked)}
        found |= {f"ap50/{name}": by_class[:, c, 0] for c, name in enumerate(names)}
        return {prefix + name: values for name, values in found.items()}

    return Metric(len(truths), score, groups=groups)


def match(overlaps: np.ndarray, thresholds: np.ndarray = THRESHOLDS) -> np.ndarray:
    """Which object int `[T, N]` each detection takes, -1 for none, at each threshold of overlap `[N, K]`.

    Detections choose in their order, each the free object that it overlaps most (COCO; the last of equals).
    """
    taken = np.full((len(thresholds), len(overlaps)), -1)
    for t, least in enumerate(np.minimum(thresholds, 1 - 1e-10)):
        free = np.ones(overlaps.shape[1], bool)
        for d, row in enumerate(overlaps):
            possible = np.where(free, row, -1.0)
            if len(row) and possible.max() >= least:
                best = len(row) - 1 - int(possible[::-1].argmax())
                taken[t, d], free[best] = best, False
    return taken


def _rank(predictions: Sequence[Found], truths: Sequence[Found], name: str, overlap: Overlap) -> Ranked:
    images, scores, hits = [], [], [np.zeros((len(THRESHOLDS), 0), bool)]
    objects = np.zeros(len(truths))
    for i, (predicted, truth) in enumerate(zip(predictions, truths, strict=True)):
        mine, theirs = (np.array([k for k, c in enumerate(x["classes"]) if c == name], int) for x in (predicted, truth))
        given = np.asarray(predicted["scores"], float)[mine]
        mine = mine[np.argsort(-given, kind="stable")[:BEST]]
        objects[i] = len(theirs)
        images.append(np.full(len(mine), i))
        scores.append(np.asarray(predicted["scores"], float)[mine])
        hits.append(match(overlap(predicted, truth, mine, theirs).reshape(len(mine), len(theirs))) >= 0)
    score = np.concatenate(scores)
    order = np.argsort(-score, kind="stable")
    return Ranked(np.concatenate(images)[order], score[order], np.concatenate(hits, axis=1)[:, order], objects)


def _average_precision(weights: np.ndarray, ranked: Ranked) -> np.ndarray:
    """`[R, T]` under weights `[R, I]` of the images; nan where there is no object."""
    counted, objects = weights[:, ranked.image], weights @ ranked.objects
    found = np.full((len(weights), len(ranked.hit)), np.nan)
    some = objects > 0
    rows = np.arange(some.sum())[:, None]
    said = np.cumsum(counted[some], axis=1)
    for t, hit in enumerate(ranked.hit):
        right = np.cumsum(counted[some] * hit, axis=1)
        recall = right / objects[some, None]
        precision = right / np.maximum(said, 1e-12)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        envelope = np.pad(envelope, ((0, 0), (0, 1)))  # beyond the last recall the precision is 0
        # each row in a range of its own, so that one search serves all
        width = recall.shape[1]
        at = np.searchsorted((recall + 2 * rows).ravel(), RECALLS + 2 * rows) - rows * width
        found[some, t] = np.take_along_axis(envelope, at, axis=1).mean(1)
    return found


def _froc(weights: np.ndarray, ranked: Sequence[Ranked]) -> np.ndarray:
    """Mean sensitivity `[R]` at `FALSE_POSITIVES`, over the detections of all classes in order of score."""
    score = np.concatenate([one.score for one in ranked])
    order = np.argsort(-score, kind="stable")
    image = np.concatenate([one.image for one in ranked])[order]
    hit = np.concatenate([one.hit[0] for one in ranked])[order]
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # a threshold lets all of one score through
    counted = weights[:, image]
    right = np.pad(np.cumsum(counted * hit, axis=1)[:, last], ((0, 0), (1, 0)))
    wrong = np.pad(np.cumsum(counted * ~hit, axis=1)[:, last], ((0, 0), (1, 0)))
    allowed = np.array(FALSE_POSITIVES) * weights.sum(1)[:, None]
    best = np.stack([np.where(wrong <= limit[:, None], right, 0).max(1) for limit in allowed.T])
    return ratio(best.mean(0), weights @ sum(one.objects for one in ranked))
