"""IU X-Ray (Open-i): chest radiographs of Indiana University with their reports (Demner-Fushman et al. 2016).

Source: https://openi.nlm.nih.gov; 3,955 reports, 7,470 images. Licence: CC BY-NC-ND 4.0, non-commercial, no derivatives.

Two native layouts are read:

    Kaggle     indiana_reports.csv, indiana_projections.csv, images/*.png or images/images_normalized/*.png
    Open-i     ecgen-radiology/*.xml, and the images in NLMCXR_png/, images/ or beside that folder

Open-i calls an image `CXR10_IM-0002-1001.png` (in study 1 alone `CXR1_1_IM-0001-3001.png`), Kaggle the same one
`10_IM-0002-1001.dcm.png` (`1_IM-0001-3001.dcm.png`); either is found, also as JPEG.
Projections are in the Kaggle file only: where it is absent the views are "unknown", in the order of their names.

A record is one study: frontal views first, then lateral ones. The source names no patients, so each study counts as one.
"XXXX" (removed by de-identification) stays as it is. Labels are the manual MeSH tags whose heading is one of the CheXpert
findings: positive where tagged, negative where the indexers tagged others or "normal"; besides, `abnormal` is negative where
the only tag is "normal" and positive where any other is given. Studies that were never indexed ("No Indexing", "Technical
Quality of Image Unsatisfactory") have no labels.
Studies without any image file, and those with neither findings nor impression, are set aside.
"""

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import image_index, table, wrong_layout
from data_pipelines.protocols import Protocol, by_ids, by_patient
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, Record

LABELS = {
    "Cardiomegaly": "cardiomegaly",
    "Pulmonary Atelectasis": "atelectasis",
    "Pleural Effusion": "pleural effusion",
    "Opacity": "lung opacity",
    "Infiltrate": "lung opacity",
    "Airspace Disease": "lung opacity",
    "Nodule": "lung lesion",
    "Mass": "lung lesion",
    "Pneumonia": "pneumonia",
    "Consolidation": "consolidation",
    "Pneumothorax": "pneumothorax",
    "Hydropneumothorax": "pneumothorax",
    "Pulmonary Edema": "edema",
    "Pulmonary Congestion": "edema",
    "Fractures, Bone": "fracture",
    "Catheters, Indwelling": "support devices",
    "Tube, Inserted": "support devices",
    "Medical Device": "support devices",
    "Implanted Medical Device": "support devices",
    "Surgical Instruments": "support devices",
    "Stents": "support devices",
    "Sutures": "support devices",
}
NOT_INDEXED = ("No Indexing", "Technical Quality of Image Unsatisfactory")
VIEW_ORDER = ("frontal", "lateral")
REPORTS, PROJECTIONS, XML = "indiana_reports.csv", "indiana_projections.csv", "ecgen-radiology"
REPORT_COLUMNS = ("uid", "MeSH", "indication", "findings", "impression")
PROJECTION_COLUMNS = ("uid", "filename", "projection")


@dataclasses.dataclass(frozen=True)
class Study:
    """One report as either layout gives it; `images` are names without prefix and suffix, with their projection."""

    uid: str
    tags: tuple[str, ...]
    indication: str
    findings: str
    impression: str
    images: tuple[tuple[str, str], ...]
    where: str


class IuXray(Builder):
    """IU X-Ray as Kaggle's two tables or Open-i's XML files."""

    name, version, licence = "iu_xray", "1.0.0", "CC-BY-NC-ND-4.0"
    protocols: ClassVar = {
        "r2gen": Protocol(
            by_ids("iu_xray_r2gen"),
            "the split of R2Gen (Chen et al. 2020) and its successors: two views and findings",
            expected={"train": 2069, "validation": 296, "test": 590},
        ),
        "random-70-10-20": Protocol(
            by_patient(0, (0.7, 0.1, 0.2)),
            "all studies with an image and a report, 70/10/20 by a hash of the id, seed 0",
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a study, from the tables if they are there, else from the XML files."""
        if (source / REPORTS).is_file() and (source / PROJECTIONS).is_file():
            studies = _from_tables(source)
        elif any((source / XML).glob("*.xml")):
            studies = _from_xml(source)
        else:
            raise wrong_layout(source, f"{REPORTS} and {PROJECTIONS}, or {XML}/*.xml")
        folders = [source / name for name in ("images/images_normalized", "images", "NLMCXR_png", XML, ".")]
        files = {_bare(stem): path for stem, path in image_index(folders).items()}
        if not files:
            raise wrong_layout(source, "images in images/, images/images_normalized/ or NLMCXR_png/")
        for study in studies:
            if isinstance(study, SetAside):
                yield study
            else:
                yield partial(self._record, study, {name: files[name] for name, _ in study.images if name in files})

    def _record(self, study: Study, files: dict[str, Path]) -> Iterator[Record | SetAside]:
        study_id = f"CXR{study.uid}"
        if not study.findings and not study.impression:
            yield SetAside(study_id, "empty report", study.where)
            return
        images, views = [], []
        for name, view in sorted(study.images, key=_view_order):
            if name in files:
                images.append(files[name].read_bytes())
                views.append(view)
            else:
                yield SetAside(study_id, "image file missing: view left out", name)
        if not images:
            yield SetAside(study_id, "no image file", study.where)
            return
        yield Record(
            study_id=study_id,
            patient_id=study_id,
            images=tuple(images),
            views=tuple(views),
            modality="xray",
            body_part="chest",
            indication=study.indication,
            findings=study.findings,
            impression=study.impression,
            labels=labels(study.tags),
            source=f"iu_xray {study.where}",
            licence=self.licence,
        )


def labels(tags: tuple[str, ...]) -> dict[str, str]:
    """Labels of the MeSH tags of a study, each "Heading/qualifier/..."; see the module's docstring."""
    headings = [tag.split("/")[0].strip() for tag in tags]
    indexed = [heading for heading in headings if heading and heading not in NOT_INDEXED]
    if not indexed:
        return {}
    found = dict.fromkeys(LABELS.values(), NEGATIVE) | {LABELS[h]: POSITIVE for h in indexed if h in LABELS}
    return found | {"abnormal": NEGATIVE if all(h.lower() == "normal" for h in indexed) else POSITIVE}


def _from_tables(source: Path) -> Iterator[Study | SetAside]:
    projections, aside = _projections(source / PROJECTIONS)
    yield from aside
    for row in table(source / REPORTS, REPORT_COLUMNS):
        yield Study(
            uid=row["uid"],
            tags=tuple(row["MeSH"].split(";")),
            indication=row["indication"],
            findings=row["findings"],
            impression=row["impression"],
            images=tuple(projections.pop(row["uid"], {}).items()),
            where=f"{REPORTS} uid {row['uid']}",
        )
    for uid in projections:
        yield SetAside(f"CXR{uid[:20]}", "images of a study without a report", PROJECTIONS)


def _projections(path: Path) -> tuple[dict[str, dict[str, str]], list[SetAside]]:
    """{uid: {image name: view}}, and the rows that name no image or one that is listed already."""
    views: dict[str, dict[str, str]] = defaultdict(dict)
    aside = []
    for i, row in enumerate(table(path, PROJECTION_COLUMNS), start=1):
        name = _bare(_stem(row["filename"]))
        if not name or name in views[row["uid"]]:
            reason = "image listed twice" if name else "a projection without a file name"
            aside.append(SetAside(f"CXR{row['uid'][:20]}", reason, f"{path.name} row {i}"))
        else:
            views[row["uid"]][name] = row["projection"].lower() or "unknown"
    return views, aside


def _from_xml(source: Path) -> Iterator[Study | SetAside]:
    path = source / PROJECTIONS
    projections, aside = _projections(path) if path.is_file() else ({}, [])
    yield from aside
    for path in sorted((source / XML).glob("*.xml"), key=lambda path: (len(path.stem), path.stem)):
        try:
            root = ET.parse(path).getroot()
        except ET.ParseError as error:
            yield SetAside(path.stem, f"malformed XML: {error}", path.name)
            continue
        uid = root.find("uId").get("id", "").removeprefix("CXR") if root.find("uId") is not None else path.stem
        sections = {
            part.get("Label", ""): " ".join("".join(part.itertext()).split()) for part in root.iter("AbstractText")
        }
        names = [_bare(image.get("id", "")) for image in root.iter("parentImage")]
        yield Study(
            uid=uid,
            tags=tuple(tag.text or "" for tag in root.iterfind("MeSH/major")),
            indication=sections.get("INDICATION", ""),
            findings=sections.get("FINDINGS", ""),
            impression=sections.get("IMPRESSION", ""),
            images=tuple((name, projections.get(uid, {}).get(name, "unknown")) for name in names),
            where=f"{XML}/{path.name}",
        )


def _bare(name: str) -> str:
    """`CXR10_IM-0002-1001`, `10_IM-0002-1001.dcm` -> `10_IM-0002-1001`; `CXR1_1_IM-0001-3001` -> `1_IM-0001-3001`."""
    return re.sub(r"^CXR(\d+_(?=\d+_IM))?", "", name).removesuffix(".dcm")


def _stem(filename: str) -> str:
    return filename.rpartition(".")[0] or filename


def _view_order(image: tuple[str, str]) -> tuple[int, str]:
    name, view = image
    return (VIEW_ORDER.index(view) if view in VIEW_ORDER else len(VIEW_ORDER)), name


BUILDER = IuXray
