"""MEDIQA 2021, task 3: the impression of a radiology report from its findings (Ben Abacha et al. 2021).

Source: https://github.com/abachaa/MEDIQA2021. Licence: its Indiana part is text of Open-i (CC BY-NC-ND 4.0), its MIMIC part
comes under MIMIC-CXR's agreement. Native layout: train.json, dev.json (made from MIMIC-CXR by the owner's script) and
indiana_dev.json, each a JSON list with `study_id`, `subject_id`, `findings`, `impression` and `background`.

A record is one report: `background` is the indication, "____" (removed by de-identification) stays as it is. The task's own
test reports come without impressions, so the Indiana reports are the test set of `mimic-to-indiana`. They are also in
IU X-Ray: a model trained on one must not be tested on the other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import json_list, one_of, plain
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import Record

FILES = {"train": "train.json", "validation": "dev.json", "test": "indiana_dev.json"}
FIELDS = ("study_id", "findings", "impression")


class Mediqa(Builder):
    """MEDIQA 2021's report summaries."""

    name, version, licence = "mediqa", "1.0.0", "CC-BY-NC-ND-4.0 (Indiana), PhysioNet Credentialed Health Data (MIMIC)"
    protocols: ClassVar = {
        "mimic-to-indiana": Protocol(
            by_id_suffix,
            "the published MIMIC-CXR train and dev reports, tested on the published Indiana dev reports",
            expected={"train": 91544, "validation": 2000, "test": 2000},
        ),
        "indiana": Protocol(
            by_id_suffix,
            "indiana_dev.json alone: its first 70 % to train, the next 10 % to validate, its last fifth to test",
            expected={"train": 1400, "validation": 200, "test": 400},
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a report."""
        if protocol == "indiana":
            path = one_of(source, FILES["test"])
            rows = json_list(path, FIELDS)
            for i, row in enumerate(rows):
                place = i / len(rows)
                yield self._record(row, "train" if place < 0.7 else "validation" if place < 0.8 else "test", path, i)
            return
        if (source / FILES["test"]).is_file() and not (source / FILES["train"]).is_file():
            raise UserError(
                f"{source}: {FILES['train']} is not there, the owner's script makes it from MIMIC-CXR; to use "
                f"{FILES['test']} alone, add --protocol indiana"
            )
        paths = {split: one_of(source, name) for split, name in FILES.items()}
        for split, path in paths.items():
            for i, row in enumerate(json_list(path, FIELDS)):
                yield self._record(row, split, path, i)

    def _record(self, row: dict, split: str, path: Path, i: int) -> Record | SetAside:
        study, where = plain(row["study_id"]), f"{path.name} item {i}"
        findings, impression = plain(row["findings"]), plain(row["impression"])
        if not study or not findings or not impression:
            return SetAside(study or str(i), "study_id, findings or impression is empty", where)
        return Record(
            study_id=f"{study}/{split}",
            patient_id=plain(row.get("subject_id")),
            modality="xray",
            body_part="chest",
            indication=plain(row.get("background")),
            findings=findings,
            impression=impression,
            source=f"mediqa {where}",
            licence=self.licence,
        )


BUILDER = Mediqa
