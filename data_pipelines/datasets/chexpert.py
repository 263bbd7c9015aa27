"""CheXpert: chest radiographs of Stanford Hospital with labels mined from their reports (Irvin et al. 2019).

Source: https://stanfordmlgroup.github.io/competitions/chexpert; 223,414 rows in train.csv. Licence: Stanford's research use
agreement, one user each.

Native layout, in SOURCE or in a folder of it, full size or `-small`:

    train.csv, valid.csv               Path, Sex, Age, Frontal/Lateral, AP/PA and 14 findings
    test.csv or test_labels.csv        Path and the 14 findings, where it was obtained
    train/patientN/studyM/viewK_frontal.jpg, valid/..., test/...

A `Path` begins with the name of the release (`CheXpert-v1.0-small/`), whatever the folder is called here. Columns are read by
name: their order is not that of MIMIC-CXR's table. A record is one image. A finding is positive (1), negative (0), uncertain
(-1) or, if blank, not in the labels; what to make of uncertain ones is for the task to say. Rows with any other value are
set aside.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import root_of, table, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Protocol, Rule, by_patient, label_fractions
from data_pipelines.protocols.native import by_folder, own_lists, without_suffix
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record

FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
VALUES = {"1": POSITIVE, "1.0": POSITIVE, "0": NEGATIVE, "0.0": NEGATIVE, "-1": UNCERTAIN, "-1.0": UNCERTAIN}
TABLES = ("train.csv", "valid.csv")
TESTS = ("test.csv", "test_labels.csv")
VALIDATION = 1 / 40  # of the training patients


def frontal(rule: Rule) -> Rule:
    """The same rule for frontal images; others are no part of it."""
    return lambda record: rule(record) if record.views == ("frontal",) else None


def relative(name: str) -> str:
    """A `Path` without the name of the release and without suffix: `train/patient00001/study1/view1_frontal`."""
    return without_suffix(name.partition("/")[2] if name.startswith("CheXpert") else name)


class CheXpert(Builder):
    """CheXpert as Stanford ships it."""

    name, version, licence = "chexpert", "1.0.0", "Stanford-Research-Use"
    protocols: ClassVar = label_fractions(
        "valid-frontal-202",
        Protocol(
            frontal(by_folder(VALIDATION, valid="test")),
            "frontal images: valid.csv is the test, as in GLoRIA and MGCA; a fortieth of the training patients validates",
            expected={"test": 202},
        ),
    ) | {
        "valid-234": Protocol(
            by_folder(VALIDATION, valid="test"),
            "all images: valid.csv is the test, as in MRM; a fortieth of the training patients validates",
            expected={"test": 234},
        ),
        "official": Protocol(by_folder(), "train.csv, valid.csv and the test set, where it was obtained"),
        "by-patient": Protocol(by_patient(0), "all images, 80/10/10 by a hash of the patient's id, seed 0"),
        "lists": own_lists(relative),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, in the order of the tables."""
        root = root_of(source, *TABLES)
        tests = [name for name in TESTS if (root / name).is_file()][:1]
        if missing := [name for name in TABLES if not (root / name).is_file()]:
            raise wrong_layout(root, missing[0])
        for name in (*TABLES, *tests):
            for row in table(root / name, ("Path", *FINDINGS)):
                yield partial(self._record, root, row, name)

    def _record(self, root: Path, row: dict[str, str], name: str) -> Record | SetAside:
        path = row["Path"].partition("/")[2] if row["Path"].startswith("CheXpert") else row["Path"]
        study_id, where = without_suffix(path), f"{name} {row['Path']}"
        patient = next((part for part in PurePosixPath(path).parts if part.startswith("patient")), "")
        if not patient:
            return SetAside(study_id, "the path names no patient", where)
        if wrong := [row[column] for column in FINDINGS if row[column] and row[column] not in VALUES]:
            return SetAside(study_id, f"a finding is {wrong[0]!r}; expected 1, 0, -1 or nothing", where)
        picture = read_picture(root, path, study_id)
        if isinstance(picture, SetAside):
            return picture
        view = (row.get("Frontal/Lateral") or study_id.rpartition("_")[2]).lower()
        return Record(
            study_id=study_id,
            patient_id=patient,
            images=(picture.data,),
            views=(view if view in ("frontal", "lateral") else "unknown",),
            modality="xray",
            body_part="chest",
            labels={column.lower(): VALUES[row[column]] for column in FINDINGS if row[column]},
            source=f"chexpert {path}",
            licence=self.licence,
        )


BUILDER = CheXpert
