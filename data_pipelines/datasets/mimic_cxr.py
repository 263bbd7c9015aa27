"""MIMIC-CXR-JPG: chest radiographs of Beth Israel Deaconess with reports and labels (Johnson et al. 2019).

Source: https://physionet.org/content/mimic-cxr-jpg (images and tables) and https://physionet.org/content/mimic-cxr (reports),
after signing their agreements; 377,110 images, 227,835 studies, 65,379 patients. Licence: PhysioNet Credentialed Health
Data. Native layout; every table may also be a .csv.gz:

    mimic-cxr-2.0.0-split.csv       dicom_id,study_id,subject_id,split
    mimic-cxr-2.0.0-metadata.csv    dicom_id,subject_id,study_id,...,ViewPosition,...
    mimic-cxr-2.0.0-chexpert.csv    subject_id,study_id and 14 findings (1, 0, -1 or nothing)
    files/pXX/pSUBJECT/sSTUDY/DICOM.jpg
    files/pXX/pSUBJECT/sSTUDY.txt   reports: here, in mimic-cxr-reports/, or in the folder that `--reports` names
    mimic_cxr_sectioned.csv         study,impression,findings,last_paragraph,comparison; beside the reports, if there
    MS_CXR_Local_Alignment_v*.csv   boxes of MS-CXR (https://physionet.org/content/ms-cxr, Boecking et al. 2022), if there:
                                    dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height[,split]

A record is one study: frontal views first, then lateral ones, then the rest. Findings and impression are those of the
sectioned table where it has any for the study, else those of the report by our own parser (`data_pipelines/sections.py`),
so studies that the table skips are not lost; the indication is the parser's. Where a report has neither, `text` is its
last paragraph. Blanks of de-identification (`___`) stay as they are. An image with boxes of MS-CXR comes first, since boxes
belong to the first image; the split of MS-CXR is not used.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.annotations import Objects
from data_pipelines.builder import Builder, option
from data_pipelines.native import attached, inside, one_of, read_text, split_name, table, wrong_layout
from data_pipelines.protocols import Lists, Protocol, Rule, label_fractions
from data_pipelines.sections import Sections, parse
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record

SPLIT, METADATA, CHEXPERT = (f"mimic-cxr-2.0.0-{name}.csv" for name in ("split", "metadata", "chexpert"))
SECTIONED = "mimic_cxr_sectioned.csv"
BOXES = "MS_CXR_Local_Alignment_v*.csv"
CORNER = ("x", "y", "w", "h")
SIDES = ("image_height", "image_width")
FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
VALUES = {"1": POSITIVE, "1.0": POSITIVE, "0": NEGATIVE, "0.0": NEGATIVE, "-1": UNCERTAIN, "-1.0": UNCERTAIN}
VIEWS = {
    "PA": "frontal", "AP": "frontal", "LATERAL": "lateral", "LL": "lateral", "XTABLE LATERAL": "lateral",
    "LAO": "oblique", "RAO": "oblique", "LPO": "oblique", "RPO": "oblique", "": "unknown",
}  # fmt: skip
VIEW_ORDER = ("frontal", "lateral")


@dataclasses.dataclass
class Study:
    """The images of one study as the split table lists them."""

    subject: str
    images: list[str] = dataclasses.field(default_factory=list)


class WithFindings(Protocol):
    """The studies whose report has findings."""

    def bind(self, source: Path) -> Rule:
        """The split of a study with findings, None without."""
        place = super().bind(source)
        return lambda record: place(record) if record.findings else None


def official(source: Path) -> Lists:
    """{split: studies} of the split table; UserError for a split of another name."""
    path = one_of(source, SPLIT)
    lists: dict[str, set[str]] = defaultdict(set)
    for i, row in enumerate(table(path, ("study_id", "split")), start=1):
        if not (split := split_name(row["split"])):
            raise UserError(f"{path}: row {i}: split {row['split']!r} is not train, validate or test")
        lists[split].add(f"s{row['study_id']}")
    return lists


@dataclasses.dataclass(frozen=True)
class MimicCxr(Builder):
    """MIMIC-CXR-JPG with its reports."""

    name, version, licence = "mimic_cxr", "1.0.0", "PhysioNet Credentialed Health Data License"
    protocols: ClassVar = {
        **label_fractions("official", Protocol(None, "the published split, all studies", lists=official)),
        "report-generation": WithFindings(
            None, "the published split, studies whose report has findings", expected={"test": 2347}, lists=official
        ),
    }

    reports: str = option("", "folder of the report files, if not the source")

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a study, in the order of the split table."""
        if not (source / "files").is_dir():
            raise wrong_layout(source, "files/")
        paths = {name: one_of(source, name) for name in (SPLIT, METADATA, CHEXPERT)}
        folder = self._reports(source)
        studies: dict[str, Study] = {}
        yield from _studies(paths[SPLIT], studies)
        views = {row["dicom_id"]: row["ViewPosition"] for row in table(paths[METADATA], ("dicom_id", "ViewPosition"))}
        labels: dict[str, dict[str, str]] = {}
        yield from _labels(paths[CHEXPERT], labels)
        sections, boxes = _sectioned(folder), _boxes(source)
        for study_id, study in studies.items():
            images = sorted(((d, _view(views.pop(d, None))) for d in study.images), key=_view_order)
            images.sort(key=lambda image: image[0] not in boxes)
            yield partial(
                self._record,
                source,
                folder,
                study_id,
                study.subject,
                images,
                labels.pop(study_id, {}),
                sections.get(study_id),
                {dicom: boxes.pop(dicom) for dicom in study.images if dicom in boxes},
            )
        yield from (SetAside(dicom, "boxes of an image in no split", BOXES) for dicom in boxes)
        yield from (SetAside(dicom, "image of the metadata is in no split", paths[METADATA].name) for dicom in views)
        yield from (SetAside(study, "labels of a study in no split", paths[CHEXPERT].name) for study in labels)

    def _record(
        self,
        source: Path,
        folder: Path,
        study_id: str,
        subject: str,
        named: list[tuple[str, str | None]],
        marks: dict[str, str],
        sections: Sections | None,
        boxes: dict[str, list[dict[str, str]]],
    ) -> Iterator[Record | SetAside]:
        """The record of a study with these images and their views."""
        place = f"p{subject[:2]}/p{subject}"
        images, shown, fields = [], [], {}
        for dicom, view in named:
            data, fault = attached(source / "files", f"{place}/{study_id}/{dicom}.jpg")
            if fault:
                yield SetAside(study_id, f"{fault}: view left out", f"files/{place}/{study_id}/{dicom}.jpg")
                continue
            if view is None:
                yield SetAside(study_id, "image is not in the metadata: view unknown", dicom)
            if dicom in boxes and not images:
                objects = _objects(study_id, dicom, boxes[dicom])
                fields = objects.fields()
                yield from objects.aside
                boxes = {other: rows for other, rows in boxes.items() if other != dicom}
            images.append(data)
            shown.append(view or "unknown")
        if not images:
            yield SetAside(study_id, "no image file", f"files/{place}/{study_id}")
            return
        yield from (SetAside(study_id, "boxes on another image than the first: left out", dicom) for dicom in boxes)
        path, _ = inside(folder / "files", f"{place}/{study_id}.txt")
        report = _report(path, sections)
        if not (report.findings or report.impression or report.last_paragraph):
            reason = "no report file" if path is None else "a report without text"
            yield SetAside(study_id, f"{reason}: images and labels kept", f"files/{place}/{study_id}.txt")
        yield Record(
            study_id=study_id,
            patient_id=f"p{subject}",
            images=tuple(images),
            views=tuple(shown),
            modality="xray",
            body_part="chest",
            indication=report.indication,
            findings=report.findings,
            impression=report.impression,
            text=report.last_paragraph,
            labels=marks,
            source=f"mimic_cxr files/{place}/{study_id}",
            licence=self.licence,
            **fields,
        )

    def _reports(self, source: Path) -> Path:
        """The folder that holds the reports' files/; UserError if the one named by the option does not."""
        if self.reports:
            folder = Path(self.reports).expanduser()
            if not (folder / "files").is_dir() and not (folder / SECTIONED).is_file():
                raise UserError(f"mimic_cxr: --reports {folder} holds neither files/ nor {SECTIONED}")
            return folder
        beside = source / "mimic-cxr-reports"
        return beside if beside.is_dir() else source


def _studies(path: Path, studies: dict[str, Study]) -> Iterator[SetAside]:
    """Fill `studies` from the split table."""
    seen: set[str] = set()
    for i, row in enumerate(table(path, ("dicom_id", "study_id", "subject_id")), start=1):
        dicom, study_id, subject = row["dicom_id"], f"s{row['study_id']}", row["subject_id"]
        where = f"{path.name} row {i}"
        if not dicom or not row["study_id"] or not subject:
            yield SetAside(study_id, "a row without dicom_id, study_id or subject_id", where)
        elif dicom in seen:
            yield SetAside(study_id, "a second row with this dicom_id", where)
        elif studies.setdefault(study_id, Study(subject)).subject != subject:
            yield SetAside(study_id, "a study with two subjects", where)
        else:
            seen.add(dicom)
            studies[study_id].images.append(dicom)


def _labels(path: Path, labels: dict[str, dict[str, str]]) -> Iterator[SetAside]:
    """Fill `labels` from CheXpert's table: names in lower case, nothing for what a report does not mention."""
    for i, row in enumerate(table(path, ("study_id", *FINDINGS)), start=1):
        study_id, where = f"s{row['study_id']}", f"{path.name} row {i}"
        if study_id in labels:
            yield SetAside(study_id, "a second row of labels: left out", where)
            continue
        labels[study_id] = {name.lower(): VALUES[row[name]] for name in FINDINGS if row[name] in VALUES}
        for name in FINDINGS:
            if row[name] and row[name] not in VALUES:
                yield SetAside(study_id, "a label is not 1, 0 or -1: left out", f"{where}: {name} {row[name][:40]!r}")


def _sectioned(folder: Path) -> dict[str, Sections]:
    """Sections of the studies for which the sectioned table has findings or an impression; nothing without the table."""
    if not any((folder / name).is_file() for name in (SECTIONED, f"{SECTIONED}.gz")):
        return {}
    columns = ("study", "findings", "impression")
    return {
        row["study"]: Sections(
            findings=" ".join(row["findings"].split()), impression=" ".join(row["impression"].split())
        )
        for row in table(one_of(folder, SECTIONED), columns)
        if row["findings"] or row["impression"]
    }


def _boxes(source: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of MS-CXR by image, of its newest table in `source`; nothing without one."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for path in sorted(source.glob(BOXES))[-1:]:
        for row in table(path, ("dicom_id", "category_name", *CORNER, *SIDES)):
            found[row["dicom_id"]].append(row)
    return found


def _objects(study_id: str, dicom: str, rows: list[dict[str, str]]) -> Objects:
    """The boxes of one image, in shares of the size that the table gives."""
    height, width = (float(side) if side.isdecimal() else 0.0 for side in (rows[0][name] for name in SIDES))
    objects = Objects(study_id, height, width, f"{BOXES} {dicom}")
    for row in rows:
        if height and width:
            objects.sized_box(row["category_name"].lower(), *(row[name] for name in CORNER))
        else:
            objects.refuse("a box without the size of its image")
    return objects


def _report(path: Path | None, known: Sections | None) -> Sections:
    parsed = parse(read_text(path)) if path else Sections()
    return dataclasses.replace(known, indication=parsed.indication) if known else parsed


def _view(position: str | None) -> str | None:
    return None if position is None else VIEWS.get(position.upper(), "other")


def _view_order(image: tuple[str, str | None]) -> int:
    return VIEW_ORDER.index(image[1]) if image[1] in VIEW_ORDER else len(VIEW_ORDER)


BUILDER = MimicCxr
