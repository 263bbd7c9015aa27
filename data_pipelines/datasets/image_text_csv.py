"""Your own images with captions, reports or labels in a table: no code needed.

Layout: one table in SOURCE (CSV, TSV, JSON or JSON lines) with a column `split`, or one a split named train, val, test; the
images (PNG, JPEG, DICOM) in SOURCE, SOURCE/images or SOURCE/imgs, or in the folder that --images names.
Columns are found by their usual names or named with --columns FIELD=COLUMN. Fields: image, a path within these folders;
caption; findings, impression and indication, or report, a whole report that is taken apart into these; label, the one class
of the image; view; id, patient, split. --labels names columns that hold 1, 0 or -1 (uncertain), one a finding.
A record is one row; its other columns are not read.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import option
from data_pipelines.datasets.text_csv import texts
from data_pipelines.own_tables import IMAGE, OwnTable, Row, find_picture
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record

VALUES = {"1": POSITIVE, "1.0": POSITIVE, "0": NEGATIVE, "0.0": NEGATIVE, "-1": UNCERTAIN, "-1.0": UNCERTAIN}


@dataclasses.dataclass(frozen=True)
class ImageTextCsv(OwnTable):
    """Any table of images with words."""

    name = "image_text_csv"
    known: ClassVar = {
        "image": IMAGE,
        "caption": ("caption", "title", "text"),
        "findings": ("findings",),
        "impression": ("impression",),
        "indication": ("indication", "background"),
        "report": ("report", "report_content"),
        "label": ("label", "class", "category"),
        "view": ("view", "projection", "ViewPosition"),
    }
    needs: ClassVar = ("image",)

    images: str = option("", "folder of the images, relative to SOURCE")
    labels: str = option("", "columns with a finding each (1, 0, -1 or blank), as COLUMN,COLUMN")

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a row."""
        findings = [name.strip() for name in self.labels.split(",") if name.strip()]
        for row in self.rows(source, protocol, findings):
            yield row if isinstance(row, SetAside) else partial(self._record, source, row, findings, protocol)

    def _record(self, source: Path, row: Row, findings: list[str], protocol: str) -> Record | SetAside:
        study_id = self.study_id(row.id, row.split, protocol)
        fields = dict(row.fields)
        marks = {name: fields.pop(name) for name in findings if name in fields}
        if wrong := [f"{name} {mark[:40]!r}" for name, mark in marks.items() if mark not in VALUES]:
            return SetAside(study_id, "a label is not 1, 0 or -1", f"{row.where}: {wrong[0]}")
        picture = find_picture(source, self.images, fields.pop("image", ""), study_id)
        if isinstance(picture, SetAside):
            return dataclasses.replace(picture, where=f"{row.where}: {picture.where[:200]}")
        labels = {name: VALUES[mark] for name, mark in marks.items()}
        if label := fields.pop("label", ""):
            labels[label] = POSITIVE
        view = fields.pop("view", "").lower() or picture.view or "unknown"
        common = self.common(row.where)
        return Record(
            study_id=study_id,
            patient_id=row.patient,
            images=(picture.data,),
            views=(view,),
            labels=labels,
            **texts(fields),
            **common
            | {
                "modality": self.modality if self.modality != "other" else picture.modality,
                "body_part": self.body_part or picture.body_part,
            },
        )


BUILDER = ImageTextCsv
