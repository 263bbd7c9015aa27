"""Your own texts in a table: classification, summarisation or inference without code.

Layout: one table in SOURCE (CSV, TSV, JSON or JSON lines) with a column `split`, or one a split named train, val, test.
Columns are found by their usual names or named with --columns FIELD=COLUMN. Fields: text and text_label; findings,
impression and indication, or report, a whole report that is taken apart into these; premise, hypothesis and relation
(entailment, neutral, contradiction); id, patient, split. A record is one row; its other columns are not read.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines import sections
from data_pipelines.builder import option
from data_pipelines.own_tables import OwnTable, Row
from data_pipelines.summary import SetAside
from unimedvlp.records import Record

RELATIONS = ("entailment", "neutral", "contradiction")
CONTENT = ("text", "findings", "impression", "premise")


@dataclasses.dataclass(frozen=True)
class TextCsv(OwnTable):
    """Any table of texts."""

    name = "text_csv"
    known: ClassVar = {
        "text": ("text", "abstract", "sentence", "note"),
        "text_label": ("text_label", "label", "class", "category"),
        "findings": ("findings",),
        "impression": ("impression", "summary"),
        "indication": ("indication", "background"),
        "report": ("report", "report_content"),
        "premise": ("premise", "sentence1"),
        "hypothesis": ("hypothesis", "sentence2"),
        "relation": ("relation", "gold_label"),
    }

    modality: str = option("text", "modality of all records")

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a row."""
        for row in self.rows(source, protocol):
            yield row if isinstance(row, SetAside) else self._record(row, protocol)

    def _record(self, row: Row, protocol: str) -> Record | SetAside:
        study_id = self.study_id(row.id, row.split, protocol)
        fields = texts(row.fields)
        if not any(field in fields for field in CONTENT):
            return SetAside(study_id, "no text", row.where)
        if "relation" in fields and fields["relation"] not in RELATIONS:
            return SetAside(study_id, f"relation is not one of {', '.join(RELATIONS)}", row.where)
        if "premise" in fields and not {"hypothesis", "relation"} <= fields.keys():
            return SetAside(study_id, "a premise without hypothesis or relation", row.where)
        return Record(study_id=study_id, patient_id=row.patient, **fields, **self.common(row.where))


def texts(fields: dict[str, str]) -> dict[str, str]:
    """The text fields of a record; a `report` becomes those of its sections that no column gives."""
    if "report" not in fields:
        return dict(fields)
    parsed = sections.parse(fields["report"])
    found = {
        "findings": parsed.findings,
        "impression": parsed.impression,
        "indication": parsed.indication,
        "text": parsed.last_paragraph,
    }
    given = {field: text for field, text in fields.items() if field != "report"}
    return {field: text for field, text in found.items() if text} | given


BUILDER = TextCsv
