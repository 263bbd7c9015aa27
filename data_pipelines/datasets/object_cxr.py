"""Object-CXR: frontal chest radiographs with foreign objects (JF Healthcare, MIDL 2020 challenge).

Source: https://github.com/hlk-1135/object-CXR; 8,000 training, 1,000 development and 1,000 test images. Licence:
not stated there.

Native layout:

    train.csv, dev.csv, and test.csv where it was obtained    image_name, annotation
    train/NAME.jpg, dev/NAME.jpg, test/NAME.jpg

An annotation is "TYPE x y x y ...;TYPE ...", one item an object, in pixels: type 0 is a rectangle by two corners, 1 the
ellipse in such a rectangle, 2 a polygon; none means no object. Each object becomes a box and a mask. The source names no
patients: an image counts as one.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_pipelines.annotations import Objects, ellipse, polygon, rectangle
from data_pipelines.builder import Builder
from data_pipelines.native import table, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Protocol
from data_pipelines.protocols.native import by_folder, own_lists
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

CLASS = "foreign object"
SHAPES = {"0": rectangle, "1": ellipse}
POLYGON = "2"
SPLITS = ("train", "dev", "test")


class ObjectCxr(Builder):
    """Object-CXR as its owner ships it."""

    name, version, licence = "object_cxr", "1.0.0", "not stated"
    protocols: ClassVar = {
        "official": Protocol(
            by_folder(),
            "training, development (as validation) and test images",
            expected={"train": 8000, "validation": 1000, "test": 1000},
        ),
        "dev-as-test": Protocol(
            by_folder(0.1, dev="test"),
            "MGCA's use: dev.csv is the test; a tenth of the training images validates",
            expected={"test": 1000},
        ),
        "lists": own_lists(lambda name: name),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, in the order of the tables."""
        if missing := [name for name in SPLITS[:2] if not (source / f"{name}.csv").is_file()]:
            raise wrong_layout(source, f"{missing[0]}.csv")
        for split in SPLITS:
            path = source / f"{split}.csv"
            for row in table(path, ("image_name", "annotation")) if path.is_file() else ():
                if row["image_name"]:
                    yield partial(self._record, source, f"{split}/{row['image_name']}", row["annotation"])
                else:
                    yield SetAside("", "a row without image_name", path.name)

    def _record(self, source: Path, name: str, annotation: str) -> Iterator[Record | SetAside]:
        picture = read_picture(source, name, name)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = Objects(name, picture.height, picture.width, name)
        items = [item.split() for item in annotation.split(";") if item.strip()]
        for words in items:
            try:
                corners, mask = _drawn(words, picture.height, picture.width)
            except UserError as error:
                objects.refuse(str(error), " ".join(words)[:60])
                continue
            objects.box(CLASS, *corners)
            objects.mask(CLASS, mask)
        yield from objects.aside
        yield Record(
            study_id=name,
            patient_id=name,
            images=(picture.data,),
            views=("frontal",),
            modality="xray",
            body_part="chest",
            labels={CLASS: POSITIVE if items else NEGATIVE},
            source=f"object_cxr {name}",
            licence=self.licence,
            **objects.fields(),
        )


def _drawn(words: list[str], height: int, width: int) -> tuple[list[float], np.ndarray]:
    """Corners (xmin ymin xmax ymax) and mask `[H, W]` of one object."""
    kind, numbers = words[0], words[1:]
    try:
        points = np.array([float(number) for number in numbers]).reshape(-1, 2)
    except ValueError:
        raise UserError("an annotation is not pairs of numbers") from None
    if kind not in (*SHAPES, POLYGON):
        raise UserError(f"an annotation of unknown type {kind}")
    if len(points) < (3 if kind == POLYGON else 2) or not np.isfinite(points).all():
        raise UserError("an annotation has too few points")
    corners = [*points.min(axis=0), *points.max(axis=0)]
    if kind == POLYGON:
        return corners, polygon(points.ravel(), height, width)
    return corners, SHAPES[kind](*corners, height, width)


BUILDER = ObjectCxr
