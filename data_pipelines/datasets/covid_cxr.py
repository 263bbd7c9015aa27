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
LUNG = 255  # grey value in the masks
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
        files = [coco_json.read(source / name) if (source / name).is_file() else None for name in (BOXES, POLYGONS)]
        entries = [{entry["file_name"]: entry for entry in file.images} if file else {} for file in files]
        for file in filter(None, files):
            yield from file.aside
        masks = _masks(source)
        listed = set()
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
            fields: dict[str, Any] = {}
            for file, found, kept in zip(files, entries, ("box", "mask"), strict=True):
                if name in found:
                    objects = file.objects(found[name], picture, name, crowds=True)
                    yield from [objects] if isinstance(objects, SetAside) else objects.aside
                    whole = isinstance(objects, Objects) and not objects.aside
                    if whole or (isinstance(objects, Objects) and kept == "box"):
                        fields |= {key: value for key, value in objects.fields().items() if key.startswith(kept)}
            if not fields.get("masks") and name in masks:
                objects = _from_mask(source, name, masks[name], picture)
                yield from objects.aside
                fields |= {key: value for key, value in objects.fields().items() if key.startswith("mask")}
            aside, fields = _named(name, fields)
            yield from aside
            yield self._record(row, picture, fields)
        for name in sorted(set().union(*entries, masks) - listed - {""}):
            yield SetAside(name, f"annotated, but not in {METADATA}", name)

    def _record(self, row: dict[str, str], picture: Picture, fields: dict[str, Any]) -> Record:
        return Record(
            study_id=row["filename"],
            patient_id=row["patientid"],
            images=(picture.data,),
            views=(VIEWS.get(row["view"], "unknown"),),
            modality=MODALITIES.get(row["modality"], "other"),
            body_part="chest",
            caption=row["clinical_notes"],
            labels=labels(row["finding"]),
            source=f"covid_cxr {row['folder']}/{row['filename']}",
            licence=row["license"] or "not stated",
            **fields,
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


def _from_mask(source: Path, name: str, mask: str, picture: Picture) -> Objects:
    objects = Objects(name, picture.height, picture.width, f"{MASKS}/{mask}")
    data, why = attached(source / MASKS, mask)
    try:
        if why:
            raise UserError(why)
        objects.mask("Lung", label_map(data) == LUNG)
    except UserError as error:
        objects.refuse(str(error))
    return objects


def _named(name: str, fields: dict[str, Any]) -> tuple[list[SetAside], dict[str, Any]]:
    """The fields with lower-case classes and without regions to ignore, which are set aside."""
    pairs = list(zip(fields.get("masks", ()), fields.get("mask_classes", ()), strict=True))
    kept = [(data, label) for data, label in pairs if label != "Ignore"]
    aside = [SetAside(name, "a region to ignore", POLYGONS)] * (len(pairs) - len(kept))
    return aside, fields | {
        "box_classes": tuple(label.lower() for label in fields.get("box_classes", ())),
        "masks": tuple(data for data, _ in kept),
        "mask_classes": tuple(label.lower() for _, label in kept),
    }


BUILDER = CovidCxr
