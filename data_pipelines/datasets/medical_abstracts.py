"""Medical abstracts: which of five conditions is an abstract about? (Schopf et al. 2022).

Source: https://github.com/sebischair/Medical-Abstracts-TC-Corpus. Licence: CC BY-SA 3.0. Native layout:
medical_tc_train.csv and medical_tc_test.csv with `condition_label`, `medical_abstract`; medical_tc_labels.csv with
`condition_label`, `condition_name`. A record is one abstract with the name of its condition. Some abstracts occur more than
once, under different conditions; the abstract is the unit that the `disjoint` splits keep together.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import one_of, table
from data_pipelines.protocols import Protocol, by_id_suffix, by_patient, share
from data_pipelines.summary import SetAside
from unimedvlp.records import Record

COLUMNS = ("condition_label", "medical_abstract")
REPEATED = "some abstracts occur more than once, under different conditions"


class MedicalAbstracts(Builder):
    """The corpus's tables."""

    name, version, licence = "medical_abstracts", "1.0.0", "CC-BY-SA-3.0"
    protocols: ClassVar = {
        "official": Protocol(
            by_id_suffix,
            "published test abstracts; validation is a tenth of the training abstracts by a hash of the text",
            expected={"test": 2888},
            leaks=REPEATED,
        ),
        "test-file-disjoint": Protocol(
            by_patient(0, (0.7, 0.1, 0.2)),
            "medical_tc_test.csv alone: 70/10/20 by a hash of the text, seed 0",
            expected={"train": 2002, "validation": 299, "test": 587},
        ),
        "test-file-in-order": Protocol(
            by_id_suffix,
            "medical_tc_test.csv alone: its first 70 % to train, the next 10 % to validate, its last fifth to test",
            expected={"train": 2022, "validation": 289, "test": 577},
            leaks=REPEATED,
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a row."""
        labels = one_of(source, "medical_tc_labels.csv")
        names = {
            row["condition_label"]: row["condition_name"]
            for row in table(labels, ("condition_label", "condition_name"))
            if row["condition_name"]
        }
        parts = ("test",) if protocol.startswith("test-file") else ("train", "test")
        paths = {part: one_of(source, f"medical_tc_{part}.csv") for part in parts}
        for part, path in paths.items():
            rows = list(table(path, COLUMNS))
            for i, row in enumerate(rows):
                text, label = row["medical_abstract"], row["condition_label"]
                study_id, where = f"{part}-{i + 1}", f"{path.name} row {i + 1}"
                if not text:
                    yield SetAside(study_id, "empty abstract", where)
                elif label not in names:
                    yield SetAside(study_id, f"condition_label is not in {labels.name}", f"{where}: {label[:40]!r}")
                else:
                    yield Record(
                        study_id=f"{study_id}/{_split(protocol, part, text, i / len(rows))}",
                        patient_id=hashlib.sha256(text.encode()).hexdigest()[:16],
                        modality="text",
                        text=text,
                        text_label=names[label],
                        source=f"medical_abstracts {where}",
                        licence=self.licence,
                    )


def _split(protocol: str, part: str, text: str, place: float) -> str:
    if protocol == "official":
        return "test" if part == "test" else "validation" if share(text) < 0.1 else "train"
    return "train" if place < 0.7 else "validation" if place < 0.8 else "test"


BUILDER = MedicalAbstracts
