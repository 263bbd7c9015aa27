"""Predictions of boxes and masks as plain values: from tokens, from queries, from trivial methods, and as marks on a page.

A list of objects is `{"boxes": [[ymin, xmin, ymax, xmax]], "classes": [name], "scores": [number]}`; a mask is
`{"polygons": [[y, x, y, x, ...]]}` or run lengths (see `segmentation.as_mask`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from unimedvlp import objects, runs
from unimedvlp.evaluation import baselines
from unimedvlp.evaluation.samples import Mark
from unimedvlp.evaluation.segmentation import as_mask
from unimedvlp.records import Record
from unimedvlp.systems.base import Regions
from unimedvlp.tasks.base import Samples, Sure
from unimedvlp.tokens import region_sequences
from unimedvlp.tokens.sequences import until_end
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import EOS, SEP

NOTHING = {"boxes": [], "classes": [], "scores": []}
BEST = 100  # boxes of one image
SHOWN = 0.3  # score from which a box is painted
_SIDE = 128  # of a mean mask, pixels
Found = dict[str, list]


def union(record: Record, name: str) -> np.ndarray:
    """All of a class in an image: bool `[H, W]`, the size of the record's masks (one pixel where it has none)."""
    masks = [objects.decode_mask(data) for data in record.masks]
    found = np.zeros_like(masks[0]) if masks else np.zeros((1, 1), bool)
    for mask, own in zip(masks, record.mask_classes, strict=True):
        if own == name:
            found |= mask
    return found


def read_boxes(response: Sequence[int], space: TokenSpace, sure: Sure | None) -> Found | None:
    """The objects of a detection's response, boxes labelled NOISE included: with `sure`, each has the likeliest class and its
    probability as score; without it NOISE is left out and every score is 1."""
    found = region_sequences.read_detection(response, space, noise=sure is not None)
    if found is None:
        return None
    classes, scores = list(found.classes), [1.0] * len(found.classes)
    if sure is not None:
        classes = [space.vocabulary.class_name(i) for i in _class_places(sure.classes, range(len(classes)))]
        scores = _class_places(sure.probability, range(len(classes))).tolist()
    return {"boxes": found.boxes.tolist(), "classes": classes, "scores": scores}


def read_objects(response: Sequence[int], space: TokenSpace, sure: Sure | None) -> Found | None:
    """The objects of a detection followed by outlines: boxes, classes, scores, and `masks` as polygons. Boxes labelled NOISE
    have no outline and are left out."""
    parts = region_sequences.read_combined(response, "detect", space)
    if parts is None or len(parts) - 1 != len(parts[0][1].classes):
        return None
    every = region_sequences.read_detection(first_part(response), space, noise=True)
    real = [i for i, name in enumerate(every.classes) if name is not None]
    scores = [1.0] * len(real) if sure is None else _class_places(sure.probability, real).tolist()
    (_, found), *outlines = parts
    masks = [drawn(polygons) for _, polygons in outlines]
    return {"boxes": found.boxes.tolist(), "classes": list(found.classes), "scores": scores, "masks": masks}


def first_part(response: Sequence[int]) -> list[int]:
    """The first of several parts of a response, ended."""
    ids = until_end(response)
    return [*(ids[: ids.index(SEP)] if SEP in ids else ids), EOS]


def best_boxes(found: Regions, names: Sequence[str], masks: bool = False) -> Found:
    """The `BEST` pairs of a query and a name by score, of one image's regions (boxes `[Q, 4]`, scores `[Q, C]`); with
    `masks`, their masks as run lengths."""
    scores = np.asarray(found.scores, float)
    order = np.argsort(-scores, axis=None, kind="stable")[:BEST]
    query, name = np.unravel_index(order, scores.shape)
    boxes = np.clip(np.asarray(found.boxes, float)[query], 0, 1)
    best = {"boxes": boxes.tolist(), "classes": [names[i] for i in name], "scores": scores.ravel()[order].tolist()}
    if masks and found.masks is not None:
        best["masks"] = [runs.encode(np.asarray(found.masks[i]) >= 0.5) for i in query]
    return best


def drawn(polygons: list[np.ndarray] | None) -> dict[str, Any] | None:
    """Polygons `[k, 2]` as plain values."""
    return None if polygons is None else {"polygons": [np.asarray(part, float).ravel().tolist() for part in polygons]}


def box_baselines(train: Samples, samples: Samples) -> dict[str, list[Found]]:
    """Boxes that look at no image or at a thumbnail: mean boxes, and those of the most alike training image.

    Mean boxes: of every class the most frequent number of them, sorted from left to right and averaged place by place.
    """
    mean: Found = {"boxes": [], "classes": [], "scores": []}
    for name in sorted({name for truth in train.truths for name in truth["classes"]}):
        lists = [
            sorted((b for b, c in zip(t["boxes"], t["classes"], strict=True) if c == name), key=lambda b: b[1])
            for t in train.truths
        ]
        size, count = Counter(len(boxes) for boxes in lists if boxes).most_common(1)[0]
        places = np.mean([boxes for boxes in lists if len(boxes) == size], axis=0)
        mean["boxes"] += places.tolist()
        mean["classes"] += [name] * size
        mean["scores"] += [count / len(lists)] * size
    known = [{**truth, "scores": [1.0] * len(truth["classes"])} for truth in train.truths]
    nearest = baselines.nearest_image(train.pixels(), known, samples.pixels())
    return {"mean boxes": [mean] * len(samples.truths), "nearest image's boxes": nearest}


def object_baselines(train: Samples, samples: Samples) -> dict[str, list[Found]]:
    """Those of `box_baselines`, each object with a mask: its own, or the whole mean box."""
    found = box_baselines(train, samples)
    mean = found["mean boxes"][0]
    drawn_in = mean | {"masks": [filled(box) for box in mean["boxes"]]}
    return found | {"mean boxes": [drawn_in] * len(samples.truths)}


def filled(box: Sequence[float] | None) -> dict[str, Any]:
    """A box as a mask; an empty one for None."""
    return {"polygons": [] if box is None else [[box[i] for i in (0, 1, 0, 3, 2, 3, 2, 1)]]}


def mask_baselines(train: Samples, samples: Samples) -> dict[str, list[dict[str, Any] | None]]:
    """Masks that look at no image or at a thumbnail: each class's mean mask, cut at a half, and the mask of the class in the
    most alike training image."""
    asked, learnt = np.array(samples.column("class")), np.array(train.column("class"))
    seen, shown = train.pixels(), samples.pixels()
    means: list[dict[str, Any] | None] = [None] * len(asked)
    nearest = list(means)
    for name in np.unique(asked):
        rows = np.flatnonzero(learnt == name)
        if not len(rows):
            continue
        masks = [train.truths[i]["mask"] for i in rows]
        small = [
            cv2.resize(runs.decode(m).astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for m in masks
        ]
        mean = runs.encode(np.mean(small, axis=0) >= 0.5)
        here = np.flatnonzero(asked == name)
        alike = baselines.nearest_image(seen[rows], masks, shown[here])
        for place, mask in zip(here, alike, strict=True):
            means[place], nearest[place] = mean, mask
    return {"mean mask": means, "nearest image's mask": nearest}


def counted(found: Mapping[str, list] | None) -> str:
    """How many objects of each class; of predictions those that are painted."""
    if found is None:
        return "malformed"
    scores = found.get("scores", [1.0] * len(found["classes"]))
    number = Counter(name for name, score in zip(found["classes"], scores, strict=True) if score >= SHOWN)
    return ", ".join(f"{count} {name}" for name, count in sorted(number.items())) or "none"


def share(mask: Mapping[str, Any] | None, like: Mapping[str, Any] | None = None) -> float:
    """The share of the image that a mask covers, drawn at the size of `like` or at its own."""
    return float(as_mask(mask, *(like or mask)["size"]).mean())


def box_marks(found: Mapping[str, list] | None, kind: str, image: int) -> list[Mark]:
    """Boxes to paint on a page's image, with class and score."""
    found = found or NOTHING
    scores = found.get("scores", [None] * len(found["classes"]))
    rows = zip(found["boxes"], found["classes"], scores, strict=True)
    return [
        Mark(kind, tuple(box), label=name if score is None else f"{name} {score:.2f}", image=image)
        for box, name, score in rows
        if score is None or score >= SHOWN
    ]


def instance_marks(found: Mapping[str, list] | None, kind: str, image: int, like: Mapping[str, Any]) -> list[Mark]:
    """The masks of painted objects, all as one, at the size of the run lengths `like`."""
    if not found or not found.get("masks"):
        return []
    scores = found.get("scores", [1.0] * len(found["masks"]))
    kept = [as_mask(m, *like["size"]) for m, score in zip(found["masks"], scores, strict=True) if score >= SHOWN]
    return [Mark(kind, mask=np.any(kept, axis=0), image=image)] if kept else []


def mask_mark(mask: Mapping[str, Any] | None, like: Mapping[str, Any], kind: str, image: int) -> Mark:
    """A mask to paint on a page's image, at the size of the run lengths `like`."""
    return Mark(kind, mask=as_mask(mask, *like["size"]), image=image)


def _class_places(values: np.ndarray, objects: Sequence[int]) -> np.ndarray:
    """What stands at the class tokens of some objects of a detection, from values `[R]`."""
    size = region_sequences.OBJECT_TOKENS
    return np.asarray(values)[np.array(objects, int) * size + size - 1]
