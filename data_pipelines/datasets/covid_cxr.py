"""COVID-19 image data collection: chest radiographs with notes (Cohen et al. 2020), boxes and masks of the lungs.

Source: https://github.com/ieee8023/covid-chestxray-dataset, boxes of
https://github.com/GeneralBlockchain/covid-19-chest-xray-lung-bounding-boxes-dataset, masks of
https://github.com/v7labs/covid-19-xray-dataset. Licence: that of each image, kept with its record; annotations CC BY 4.0.

Native layout, all but the first line optional:

    metadata.csv, images/*                     patientid, finding, view, modality, folder, filename, license, clinical_notes, ...
    annotations/annotations.json               COCO boxes, "Left Lung" and "Right Lung"
    annotations/v7_covid_only_coco.json        COCO polygons, "Lung"; a lung with a hole is run lengths, marked as a crowd
    annotations/v7-semantic-masks/*.png        grey 255 is lung, 127 is to be ignored; read where polygons are missing or unusable
    annotations/v7_mask_to_image.csv           mask, filename

A record is one image; clinical notes are its caption. Labels are the parts of `finding` ("COVID-19, ARDS",
"Pneumonia/Viral/COVID-19"), "covid-19" and "no finding" also as negative; there are none where it is "todo" or "Unknown".
Regions to ignore are set aside.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from data_pipelines import coco_json
from data_pipelines.annotations import Objects, label_map
from data_pipelines.builder import Builder
from data_pipelines.coco_json import CocoFile
from data_pipelines.native import attached, table, wrong_layout
from data_pipelines.pictures import Picture, read_picture
from data_pipelines.protocols import Protocol, by_patient
from data_pipelines.protocols.native import own_lists
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

METADATA = "metadata.csv"
COLUMNS = ("patientid", "finding", "view", "modality", "folder", "filename", "license", "clinical_notes")
BOXES, POLYGONS = "annotations/annotations.json", "annotations/v7_covid_only_coco.json"
MASKS, MASK_TABLE = "annotations/v7-semantic-masks", "annotations/v7_mask_to_image.csv"
LUNG, LUNG_VALUE, IGNORE = "Lung", 255, "Ignore"  # class, grey value in the masks
MODALITIES = {"X-ray": "xray", "CT": "ct"}
VIEWS = {"PA": "frontal", "AP": "frontal", "AP Supine": "frontal", "AP Erect": "frontal", "L": "lateral"}
UNKNOWN = ("", "todo", "unknown")


class CovidCxr(Builder):
    """The collection with whatever annotations lie beside it."""

    name, version, licence = "covid_cxr", "1.0.0", "one for each image"
    protocols: ClassVar = {
        "by-patient": Protocol(by_patient(0, (0.7, 0.1, 0.2)), "70/10/20 by a hash of the patient's id, seed 0"),
        "lists": own_lists(lambda name: name),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record an image, in the order of the table."""
        if not (source / METADATA).is_file():
            raise wrong_layout(source, METADATA)
        boxes, polygons = (
            coco_json.read(source / name) if (source / name).is_file() else None for name in (BOXES, POLYGONS)
        )
        masks, listed = _masks(source), set()
        for file in filter(None, (boxes, polygons)):
            yield from file.aside
        for row in table(source / METADATA, COLUMNS):
            name = row["filename"]
            listed.add(name)
            if not row["patientid"] or not name:
                yield SetAside(name, "a row without patientid or filename", f"{METADATA} {name}")
                continue
            picture = read_picture(source, f"{row['folder']}/{name}", name)
            if isinstance(picture, SetAside):
                yield picture
                continue
            found = _objects(boxes, name, picture)
            drawn = _objects(polygons, name, picture)
            if drawn.aside or not drawn.fields()["masks"]:
                yield from drawn.aside
                drawn = _from_mask(source, name, masks.get(name, ""), picture)
            yield from found.aside + drawn.aside
            yield from [SetAside(name, "a region to ignore", POLYGONS)] * drawn.fields()["mask_classes"].count(IGNORE)
            yield self._record(row, picture, found.fields(), drawn.fields())
        annotated = {entry["file_name"] for file in filter(None, (boxes, polygons)) for entry in file.images}
        for name in sorted((annotated | masks.keys()) - listed - {""}):
            yield SetAside(name, f"annotated, but not in {METADATA}", name)

    def _record(self, row: dict[str, str], picture: Picture, found: dict[str, Any], drawn: dict[str, Any]) -> Record:
        kept = [
            (data, label.lower())
            for data, label in zip(drawn["masks"], drawn["mask_classes"], strict=True)
            if label != IGNORE
        ]
        return Record(
            study_id=row["filename"],
            patient_id=row["patientid"],
            images=(picture.data,),
            views=(VIEWS.get(row["view"], "unknown"),),
            modality=MODALITIES.get(row["modality"], "other"),
            body_part="chest",
            caption=row["clinical_notes"],
            labels=labels(row["finding"]),
            boxes=found["boxes"],
            box_classes=tuple(label.lower() for label in found["box_classes"]),
            masks=tuple(data for data, _ in kept),
            mask_classes=tuple(label for _, label in kept),
            source=f"covid_cxr {row['folder']}/{row['filename']}",
            licence=row["license"] or "not stated",
        )


def labels(finding: str) -> dict[str, str]:
    """Labels of one `finding`; see the module's docstring."""
    names = [part.strip().lower() for part in re.split("[,/]", finding)]
    if all(name in UNKNOWN for name in names):
        return {}
    found = {"covid-19": NEGATIVE, "no finding": NEGATIVE}
    return found | {name: POSITIVE for name in names if name not in UNKNOWN}


def _masks(source: Path) -> dict[str, str]:
    """{image file: mask file}"""
    path = source / MASK_TABLE
    return {row["filename"]: row["mask"] for row in table(path, ("mask", "filename"))} if path.is_file() else {}


def _objects(file: CocoFile | None, name: str, picture: Picture) -> Objects:
    """What a COCO file says of an image; nothing if it does not list it."""
    entry = next((entry for entry in file.images if entry["file_name"] == name), None) if file else None
    objects = file.objects(entry, picture, name, crowds=True) if entry else None
    if isinstance(objects, Objects):
        return objects
    nothing = Objects(name, picture.height, picture.width, name)
    if objects:
        nothing.aside.append(objects)
    return nothing


def _from_mask(source: Path, name: str, mask: str, picture: Picture) -> Objects:
    """The lungs of a semantic mask; nothing if there is no such file for the image."""
    objects = Objects(name, picture.height, picture.width, f"{MASKS}/{mask}")
    if mask:
        data, why = attached(source / MASKS, mask)
        try:
            objects.mask(LUNG, label_map(data) == LUNG_VALUE) if not why else objects.refuse(why)
        except UserError as error:
            objects.refuse(str(error))
    return objects


BUILDER = CovidCxr
