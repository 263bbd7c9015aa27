"""COCO's detection files: boxes, polygons and run lengths of images."""

import dataclasses
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from data_pipelines.annotations import SHAPE_TOLERANCE, Objects, coco_runs, polygon
from data_pipelines.native import read_json, split_name
from data_pipelines.pictures import Picture
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError

PARTS = ("images", "annotations", "categories")


@dataclasses.dataclass(frozen=True)
class CocoFile:
    """One annotation file: entries of images in their order, annotations by image id, names by category id."""

    path: Path
    images: list[dict]
    annotations: dict[Any, list[dict]]
    categories: dict[Any, str]
    aside: list[SetAside]

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
            name = self.categories.get(annotation.get("category_id"))
            if name is None:
                objects.refuse("an annotation without a known category", place)
            elif annotation.get("iscrowd") and not crowds:
                objects.refuse("a crowd region", place)
            else:
                self._add(objects, name, annotation, place)
        return objects

    def _add(self, objects: Objects, name: str, annotation: dict, place: str) -> None:
        segmentation, box = annotation.get("segmentation"), annotation.get("bbox")
        if box:
            objects.sized_box(name, *box, where=place) if len(box) == 4 else objects.refuse(
                "a box is not four numbers", place
            )
        if segmentation:
            try:
                mask = _mask(segmentation, objects.height, objects.width)
            except UserError as error:
                return objects.refuse(str(error), place)
            objects.mask(name, mask, place)
            if not box and mask.any():
                (top, bottom), (left, right) = (mask.any(axis=axis).nonzero()[0][[0, -1]] for axis in (1, 0))
                objects.box(name, left, top, right + 1, bottom + 1, place)
        if not box and not segmentation:
            objects.refuse("an annotation with neither box nor mask", place)


def split_of(path: Path) -> str:
    """train, validation or test, if a file or its folder is named so (`instances_train2017.json`), else ""."""
    words = re.findall("[a-z]+", f"{path.stem} {path.parent.name}".lower())
    return next(filter(None, map(split_name, words)), "")


def read(path: Path) -> CocoFile:
    """A COCO file; annotations of images that it does not list are set aside.

    Raises UserError for a file that is no COCO file, and for two images of one id.
    """
    content = read_json(path)
    missing = [name for name in PARTS if not isinstance(content, dict) or not isinstance(content.get(name), list)]
    if missing:
        raise UserError(f"{path}: expected an object with the lists {', '.join(PARTS)}; no {', '.join(missing)}")
    for name, fields in (
        ("images", ("id", "file_name")),
        ("annotations", ("image_id",)),
        ("categories", ("id", "name")),
    ):
        for i, item in enumerate(content[name]):
            if absent := [field for field in fields if not isinstance(item, dict) or field not in item]:
                raise UserError(f"{path}: {name}[{i}] has no {', '.join(absent)}")
    ids = [entry["id"] for entry in content["images"]]
    if len(set(ids)) != len(ids):
        twice = next(item for i, item in enumerate(ids) if item in ids[:i])
        raise UserError(f"{path}: image id {twice} occurs twice, so its annotations belong to no one image")
    annotations: dict[Any, list[dict]] = defaultdict(list)
    aside, known = [], set(ids)
    for item in content["annotations"]:
        if item["image_id"] in known:
            annotations[item["image_id"]].append(item)
        else:
            where = f"{path.name} annotation {item.get('id')}"
            aside.append(SetAside(str(item["image_id"]), "an annotation of an image that is not listed", where))
    categories = {item["id"]: str(item["name"]).strip() for item in content["categories"]}
    return CocoFile(path, content["images"], annotations, categories, aside)


def _side(entry: dict, field: str, actual: int) -> int:
    value = entry.get(field)
    return int(value) if isinstance(value, int | float) and value >= 1 else actual


def _mask(segmentation: list | dict, height: int, width: int) -> Any:
    if isinstance(segmentation, dict):
        if list(segmentation.get("size", ())) != [height, width]:
            raise UserError(f"run lengths for size {segmentation.get('size')} on an image of {[height, width]}")
        return coco_runs(segmentation.get("counts", ()), height, width)
    mask = polygon(segmentation[0], height, width)
    for part in segmentation[1:]:
        mask = mask | polygon(part, height, width)
    return mask
