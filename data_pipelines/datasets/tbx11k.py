"""TBX11K: frontal chest radiographs with boxes of tuberculosis (Liu et al. 2020).

Source: https://mmcheng.net/tb and, simplified, Kaggle. Licence: academic, non-commercial use.

Two native layouts are read, in SOURCE or a folder of it:

    original   annotations/json/TBX11K_train.json, TBX11K_val.json (COCO), imgs/{tb,health,sick}/NAME.png
    Kaggle     data.csv: fname, target, bbox, image_type (and tb_type), a row a box; images/NAME.png

In `data.csv` a box is a dictionary in text, {'xmin': .., 'ymin': .., 'width': .., 'height': ..}, or "none", and latent
tuberculosis is what the original calls obsolete. A record is one image. "tuberculosis" is positive in the images of tb/ and
negative in the others; "abnormal" is negative in those of health/. The owner's test images have no labels and are not read.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

from data_pipelines import coco_json
from data_pipelines.annotations import Objects
from data_pipelines.builder import Builder
from data_pipelines.coco_json import CocoFile
from data_pipelines.native import root_of, table, wrong_layout
from data_pipelines.pictures import Picture, read_picture
from data_pipelines.protocols import Lists, Protocol, by_patient
from data_pipelines.protocols.native import own_lists, stem
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, Record

JSON, TABLE = "annotations/json", "data.csv"
FILES = {"train": "TBX11K_train.json", "validation": "TBX11K_val.json"}
CLASSES = {
    "ActiveTuberculosis": "active tuberculosis",
    "ObsoletePulmonaryTuberculosis": "obsolete pulmonary tuberculosis",
    "PulmonaryTuberculosis": "pulmonary tuberculosis",
    "active_tb": "active tuberculosis",
    "latent_tb": "obsolete pulmonary tuberculosis",
}
LABELS = {
    "tb": {"tuberculosis": POSITIVE, "abnormal": POSITIVE},
    "health": {"tuberculosis": NEGATIVE, "abnormal": NEGATIVE},
    "sick": {"tuberculosis": NEGATIVE, "abnormal": POSITIVE},
}
LABELS |= {"healthy": LABELS["health"], "sick_but_no_tb": LABELS["sick"]}
SIDES = ("xmin", "ymin", "width", "height")


def official(source: Path) -> Lists:
    """The images of the owner's training and validation file."""
    folder = root_of(source, JSON, TABLE) / JSON
    if missing := [name for name in FILES.values() if not (folder / name).is_file()]:
        raise wrong_layout(folder if folder.is_dir() else source, f"{missing[0]} (or take --protocol by-image)")
    return {
        split: [stem(entry["file_name"]) for entry in coco_json.read(folder / name).images]
        for split, name in FILES.items()
    }


class Tbx11k(Builder):
    """TBX11K, original or as Kaggle's table."""

    name, version, licence = "tbx11k", "1.0.0", "TBX11K-non-commercial"
    protocols: ClassVar = {
        "official": Protocol(
            None, "the owner's training and validation files; its test labels are secret", lists=official
        ),
        "by-image": Protocol(by_patient(0, (0.7, 0.15, 0.15)), "70/15/15 by a hash of the image's name, seed 0"),
        "lists": own_lists(),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image."""
        root = root_of(source, JSON, TABLE)
        yield from self._from_json(root) if (root / JSON).is_dir() else self._from_table(root)

    def _from_json(self, root: Path) -> Iterator[Record | SetAside]:
        paths = [root / JSON / name for name in FILES.values()]
        if not any(path.is_file() for path in paths):
            raise wrong_layout(root / JSON, " or ".join(FILES.values()))
        for path in paths:
            if not path.is_file():
                yield SetAside(path.name, "annotation file missing", f"{JSON}/{path.name}")
                continue
            file = coco_json.read(path)
            yield from file.aside
            for entry in file.images:
                yield partial(self._from_entry, root, file.only(entry), entry)

    def _from_entry(self, root: Path, file: CocoFile, entry: dict) -> Iterator[Record | SetAside]:
        name = entry["file_name"]
        picture = read_picture(root / "imgs", name, stem(name))
        objects = picture if isinstance(picture, SetAside) else file.objects(entry, picture, stem(name))
        yield from self._record(name, PurePosixPath(name).parts[0], picture, objects)

    def _from_table(self, root: Path) -> Iterator[Record | SetAside]:
        groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in table(root / TABLE, ("fname", "target", "bbox", "image_type")):
            groups[row["fname"]].append(row)
        for name, rows in groups.items():
            if not name:
                yield SetAside("", f"{len(rows)} rows without fname", TABLE)
                continue
            picture = objects = read_picture(root / "images", name, stem(name))
            if isinstance(picture, Picture):
                objects = Objects(stem(name), picture.height, picture.width, f"{TABLE} {name}")
                for row in filter(lambda row: row["bbox"], rows):
                    objects.sized_box(row.get("tb_type") or "tuberculosis", *_sides(row["bbox"]))
            yield from self._record(name, rows[0]["image_type"], picture, objects)

    def _record(
        self, name: str, kind: str, picture: Picture | SetAside, objects: Objects | SetAside
    ) -> Iterator[Record | SetAside]:
        if isinstance(objects, SetAside):
            yield objects
            return
        yield from objects.aside
        if kind not in LABELS:
            yield SetAside(stem(name), f"unknown kind of image {kind!r}; expected one of {', '.join(LABELS)}", name)
            return
        fields = objects.fields()
        fields["box_classes"] = tuple(CLASSES.get(label, label) for label in fields["box_classes"])
        yield Record(
            study_id=stem(name),
            patient_id=stem(name),
            images=(picture.data,),
            views=("frontal",),
            modality="xray",
            body_part="chest",
            labels=LABELS[kind],
            source=f"tbx11k {name}",
            licence=self.licence,
            **fields,
        )


def _sides(text: str) -> list[object]:
    """xmin ymin width height of a dictionary in text; four times None for anything else, which is no box."""
    try:
        box = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        box = None
    return [box.get(side) if isinstance(box, dict) else None for side in SIDES]


BUILDER = Tbx11k
