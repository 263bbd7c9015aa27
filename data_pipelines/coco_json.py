"""COCO's detection files: boxes, polygons and run lengths of images."""

import dataclasses
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.annotations import SHAPE_TOLERANCE, Objects, coco_runs, polygon
from data_pipelines.native import read_json, split_name
from data_pipelines.pictures import Picture
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError

PARTS = {"images": ("id", "file_name"), "annotations": ("image_id",), "categories": ("id", "name")}
ID = int | float | str
MOST_PIXELS = 10**5  # a side


@dataclasses.dataclass(frozen=True)
class CocoFile:
    """One annotation file: entries of images in their order, annotations by image id, names by category id."""

    path: Path
    images: list[dict]
    annotations: dict[Any, list[dict]]
    categories: dict[Any, str]
    aside: list[SetAside]

    def only(self, entry: dict) -> "CocoFile":
        """The part of the file that is about one image."""
        mine = {entry["id"]: self.annotations.get(entry["id"], [])}
        return dataclasses.replace(self, images=[entry], annotations=mine, aside=[])

    def objects(self, entry: dict, picture: Picture, study_id: str, crowds: bool = False) -> Objects | SetAside:
        """Boxes and masks of one image; `crowds` keeps annotations that are marked as crowds.

        Coordinates are in pixels of the size that the entry states, which must have the picture's shape; without one, in
        those of the picture.
        """
        where = f"{self.path.name} {entry['file_name']}"
        height, width = _side(entry, "height", picture.height), _side(entry, "width", picture.width)
        if abs(width / height * picture.height / picture.width - 1) > SHAPE_TOLERANCE:
            sizes = f"{picture.width}x{picture.height}, its entry says {width}x{height}"
            return SetAside(study_id, f"the image is {sizes}", where)
        objects = Objects(study_id, height, width, where)
        for annotation in self.annotations.get(entry["id"], ()):
            place = f"annotation {annotation.get('id')}"
            category = annotation.get("category_id")
            name = self.categories.get(category) if isinstance(category, ID) else None
            if name is None:
                objects.refuse("an annotation without a known category", place)
            elif annotation.get("iscrowd") and not crowds:
                objects.refuse("a crowd region", place)
            else:
                _add(objects, name, annotation, place)
        return objects


def split_of(path: Path) -> str:
    """train, validation or test, if a file or its folder is named so (`instances_train2017.json`), else ""."""
    words = re.findall("[a-z]+", f"{path.stem} {path.parent.name}".lower())
    return next(filter(None, map(split_name, words)), "")


def read(path: Path) -> CocoFile:
    """A COCO file; annotations of images that it does not list are set aside.

    Raises UserError for a file that is no COCO file, and for two images of one id.
    """
    content = read_json(path)
    _check(path, content)
    annotations: dict[Any, list[dict]] = defaultdict(list)
    aside, known = [], {entry["id"] for entry in content["images"]}
    for item in content["annotations"]:
        if isinstance(item["image_id"], ID) and item["image_id"] in known:
            annotations[item["image_id"]].append(item)
        else:
            where = f"{path.name} annotation {item.get('id')}"
            aside.append(SetAside(str(item["image_id"]), "an annotation of an image that is not listed", where))
    categories = {item["id"]: str(item["name"]).strip() for item in content["categories"]}
    return CocoFile(path, content["images"], annotations, categories, aside)


def _check(path: Path, content: Any) -> None:
    """UserError unless `content` has the lists and fields of a COCO file, and images have ids of their own."""
    missing = [name for name in PARTS if not isinstance(content, dict) or not isinstance(content.get(name), list)]
    if missing:
        raise UserError(f"{path}: expected an object with the lists {', '.join(PARTS)}; no {', '.join(missing)}")
    for name, fields in PARTS.items():
        for i, item in enumerate(content[name]):
            if absent := [field for field in fields if not isinstance(item, dict) or field not in item]:
                raise UserError(f"{path}: {name}[{i}] has no {', '.join(absent)}")
            if "id" in fields and not isinstance(item["id"], ID):
                raise UserError(f"{path}: {name}[{i}] has an id that is no number or text")
            if "file_name" in fields and not isinstance(item["file_name"], str):
                raise UserError(f"{path}: {name}[{i}] has a file_name that is no text")
    counts = Counter(entry["id"] for entry in content["images"])
    if twice := [item for item, count in counts.items() if count > 1]:
        raise UserError(f"{path}: image id {twice[0]} occurs twice, so its annotations belong to no one image")


def _side(entry: dict, field: str, actual: int) -> int:
    value = entry.get(field)
    return int(value) if isinstance(value, int | float) and 1 <= value < MOST_PIXELS else actual


def _add(objects: Objects, name: str, annotation: dict, place: str) -> None:
    """Box and mask of one annotation; without a box, that of the mask."""
    box, segmentation = annotation.get("bbox") or None, annotation.get("segmentation") or None
    if box is None and segmentation is None:
        objects.refuse("an annotation with neither box nor mask", place)
    if isinstance(box, list) and len(box) == 4:
        objects.sized_box(name, *box, where=place)
    elif box is not None:
        objects.refuse("a box is not four numbers", place)
    if segmentation is None:
        return
    try:
        mask = _mask(segmentation, objects.height, objects.width)
    except UserError as error:
        return objects.refuse(str(error), place)
    objects.mask(name, mask, place)
    if box is None and mask.any():
        (top, bottom), (left, right) = (mask.any(axis=axis).nonzero()[0][[0, -1]] for axis in (1, 0))
        objects.box(name, left, top, right + 1, bottom + 1, place)


def _mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The mask `[H, W]` of polygons or run lengths."""
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [height, width]:
            raise UserError(f"run lengths for size {segmentation.get('size')} on an image of {[height, width]}")
        return coco_runs(segmentation.get("counts"), height, width)
    if not isinstance(segmentation, list):
        raise UserError("a mask is neither polygons nor run lengths")
    return np.logical_or.reduce([polygon(part, height, width) for part in segmentation])
