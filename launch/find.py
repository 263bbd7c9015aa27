"""Objects of one image file for `unimedvlp predict`: what a task finds, as COCO's JSON and as a picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines import images as image_io
from data_pipelines import input as inputs
from data_pipelines.batch import Example, collate
from launch.assemble import Run, make_method
from unimedvlp import runs
from unimedvlp.errors import UserError
from unimedvlp.evaluation.evaluator import Evaluator
from unimedvlp.evaluation.samples import Mark, painted
from unimedvlp.evaluation.segmentation import as_mask
from unimedvlp.objects import box_of
from unimedvlp.records import Record
from unimedvlp.tasks.base import Reference, Samples, Task

KINDS = {
    "detect": ("detect", "detect_segment", "detect_classify"),
    "segment": ("segment", "segment_codes"),
    "refer": ("refer",),
}
SIDE = 1024  # of the picture, pixels


@dataclasses.dataclass(frozen=True)
class Object:
    """One object found: its class, box `[4]` (ymin xmin ymax xmax in 0..1) and mask bool `[H, W]` on the image, its score."""

    name: str
    box: np.ndarray
    mask: np.ndarray | None
    score: float


def find(
    parts: Run, params: Any, task: Task, study: Record, names: Sequence[str], decoder: str = "composed"
) -> tuple[list[Object], dict[str, Any]]:
    """The objects of a study's first image, and what else the task says of it. `names` are asked for by tasks that need one
    (UserError where such a task is given none) and narrow what is detected.
    """
    if task.name == "detect":
        task = dataclasses.replace(task, classes=tuple(names) or task.classes)
        units = list(getattr(task, "labels", ()))[:1] or [None]
    else:
        units = list(names) or list(task.classes)
        if not units:
            raise UserError(f"task {task.name} asks for classes by name: give --name, once for each")
    image = image_io.decode(study.images[0], channels=1)
    said = _predictions(parts, params, task, study, units, decoder)
    found = [one for unit, prediction in zip(units, said, strict=True) for one in _objects(prediction, unit)]
    placed = [_placed(*one, image.shape[:2], parts.spec.resize) for one in found]
    extra = {"class": said[0]["class"]} if said[0] and "class" in said[0] else {}
    return [one for one in placed if one is not None and (not names or one.name in names)], extra


def coco(found: Sequence[Object], path: Path, shape: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    """Objects as a COCO data set of one image of `shape` [H, W]: pixel boxes x y width height, masks as run lengths. Category
    ids are places in `classes` from 1 on; other names follow."""
    height, width = shape
    names = list(dict.fromkeys([*classes, *(one.name for one in found)]))
    annotations = []
    for number, one in enumerate(found, start=1):
        top, left, bottom, right = (float(x) for x in one.box * (height, width, height, width))
        box = [round(x, 2) for x in (left, top, right - left, bottom - top)]
        area = box[2] * box[3] if one.mask is None else int(one.mask.sum())
        row = {"id": number, "image_id": 1, "category_id": names.index(one.name) + 1, "bbox": box, "area": area}
        mask = {} if one.mask is None else {"segmentation": runs.encode(one.mask)}
        annotations.append(row | {"iscrowd": 0, "score": round(one.score, 4)} | mask)
    return {
        "images": [{"id": 1, "file_name": path.name, "height": height, "width": width}],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
    }


def write_picture(path: Path, image: bytes, found: Sequence[Object], note: str = "") -> None:
    """The image with its objects painted on, as PNG; `note` stands in its corner."""
    marks = [Mark("prediction", tuple(one.box), one.mask, f"{one.name} {one.score:.2f}") for one in found]
    if note:
        marks.append(Mark("prediction", (0.0, 0.0, 1.0, 1.0), label=note))
    painted(image, marks, SIDE).save(path)


def _predictions(parts: Run, params: Any, task: Task, study: Record, units: Sequence[Any], decoder: str) -> list[Any]:
    """What the task makes of the study, unit by unit."""
    spec = parts.spec.plain()
    images, view_mask, _, _ = inputs.load(study, (task,), spec)
    sequences = [task.sequence(study, unit, parts.space) for unit in units]
    batch = collate([Example(images, view_mask, (one,), 0, 0, i) for i, one in enumerate(sequences)], spec)
    samples = Samples([{}] * len(units), np.zeros(len(units), int), lambda: np.zeros((len(units), 1)), units)
    entry = next((e for e in parts.config.evals.values() if e.task["name"] == task.name), {})
    method = make_method(entry.get("method", {"name": "greedy"}), "evals.method")
    length = entry.get("length", spec.response_length)
    fixed = (lambda: [batch], Reference(samples), parts.mesh, length, method, decoder)
    return Evaluator(parts.system, task, parts.space, samples, *fixed).predict(params)[0]


def _objects(prediction: Mapping[str, Any] | None, unit: Any):
    """(class, box or None, mask or None, score) of everything that one prediction says."""
    if prediction is None:
        return
    if "boxes" in prediction:
        columns = (prediction[key] for key in ("classes", "boxes", "scores"))
        masks = prediction.get("masks", [None] * len(prediction["boxes"]))
        yield from (
            (name, box, mask, score) for (name, box, score), mask in zip(zip(*columns, strict=True), masks, strict=True)
        )
    elif "box" in prediction:
        if prediction["box"] is not None:
            yield unit, prediction["box"], prediction.get("mask"), 1.0
    else:
        yield unit, None, prediction, 1.0


def _placed(name: str, box: Any, drawn: Any, score: float, shape: Sequence[int], resize: str) -> Object | None:
    """An object on the image itself rather than on what the encoder saw of it; None for an empty mask."""
    height, width = shape
    mask = None
    if resize == "letterbox":
        side = max(shape)
        top, left = (side - height) // 2, (side - width) // 2
        geometry = np.array([[width / side, 0, left / side], [0, height / side, top / side], [0, 0, 1]])
        if drawn is not None:
            mask = as_mask(drawn, side, side)[top : top + height, left : left + width]
        if box is not None:
            box = image_io.move_boxes([box], np.linalg.inv(geometry))[0].clip(0, 1)
    elif drawn is not None:
        mask = as_mask(drawn, height, width)
    if box is None and not mask.any():
        return None
    return Object(name, box_of(mask) if box is None else np.asarray(box, float), mask, float(score))
