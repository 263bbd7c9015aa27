"""RSNA Pneumonia Detection Challenge: frontal chest radiographs with boxes of lung opacities (Shih et al. 2019).

Source: https://www.kaggle.com/c/rsna-pneumonia-detection-challenge; 26,684 labelled patients, 30,227 rows. Licence: the
challenge's terms, non-commercial research and education.

Native layout:

    stage_2_train_labels.csv           patientId, x, y, width, height, Target: a row a box, one with an empty box if there is none
    stage_2_detailed_class_info.csv    optional: patientId, class
    stage_2_train_images/ID.dcm, stage_2_test_images/ID.dcm

A record is one patient, who has one image. "pneumonia" is the target; "abnormal" is negative where the class is "Normal" and
positive for the two others. Boxes are in pixels of the DICOM image. The challenge's test images have no labels in these files;
protocol `mrm` reads those of MRM's test_list.txt.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.annotations import Objects
from data_pipelines.builder import Builder
from data_pipelines.native import read_text, table, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Lists, Protocol, by_patient, label_fractions
from data_pipelines.protocols.native import drawn, own_lists, stem
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

LABELS, CLASSES, MRM_TEST = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv", "test_list.txt"
IMAGES, TEST_IMAGES = "stage_2_train_images", "stage_2_test_images"
COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
ABNORMAL = {"Normal": NEGATIVE, "No Lung Opacity / Not Normal": POSITIVE, "Lung Opacity": POSITIVE}
TARGETS = {"0": NEGATIVE, "1": POSITIVE}
MRM_VALIDATION = 1500  # the last ones by id


def patients(source: Path) -> list[str]:
    """All labelled patients, sorted."""
    return sorted({row["patientId"] for row in rows(source)})


def rows(source: Path) -> Iterator[dict[str, str]]:
    """The rows of the labels; UserError if they are not there."""
    if not (source / LABELS).is_file():
        raise wrong_layout(source, LABELS)
    return table(source / LABELS, COLUMNS)


def mrm_test(source: Path) -> dict[str, str]:
    """{patient: target} of the challenge's test images, from MRM's list: "stage_2_test_images/ID.dcm 1" a line."""
    path = source / MRM_TEST
    if not path.is_file():
        raise UserError(
            f"{path} is missing: Kaggle's files have no labels of the test images; take the list that MRM publishes "
            "(github.com/RL4M/MRM-pytorch, DatasetsSplits/RSNA_Pneumonia/test_list.txt)"
        )
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if wrong := [" ".join(words) for words in lines if len(words) != 2 or words[1] not in TARGETS]:
        raise UserError(f"{path}: expected a file name and 0 or 1 a line, found {wrong[0]!r}")
    return {stem(words[0]): words[1] for words in lines}


def mrm(source: Path) -> Lists:
    """MRM's split, as its lists turn out to be made: the last 1,500 ids validate, the challenge's test images test."""
    ids = patients(source)
    return {"train": ids[:-MRM_VALIDATION], "validation": ids[-MRM_VALIDATION:], "test": mrm_test(source)}


class Rsna(Builder):
    """RSNA Pneumonia as Kaggle ships stage 2."""

    name, version, licence = "rsna", "1.0.0", "RSNA-Pneumonia-Challenge"
    protocols: ClassVar = label_fractions(
        "gloria-70-15-15",
        Protocol(
            None,
            "GLoRIA's rule, used by MGCA and PTUnifier too: train_test_split of the sorted ids, random_state 0",
            expected={"train": 18678, "validation": 4003, "test": 4003},
            lists=lambda source: drawn(patients(source), 0.3, 0),
        ),
    ) | {
        "mgca-detection": Protocol(
            None,
            "MGCA's rule for detection: the same with 2 x 5,337 held out",
            expected={"train": 16010, "validation": 5337, "test": 5337},
            lists=lambda source: drawn(patients(source), 2 * 5337, 0),
        ),
        "mrm": Protocol(
            None,
            "MRM's split: the last 1,500 ids validate, the challenge's 3,000 test images test (needs MRM's test_list.txt)",
            expected={"train": 25184, "validation": 1500, "test": 3000},
            lists=mrm,
        ),
        "by-patient": Protocol(by_patient(0), "80/10/10 by a hash of the patient's id, seed 0"),
        "lists": own_lists(),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a patient, in the order of the table."""
        groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in rows(source):
            groups[row["patientId"]].append(row)
        classes = defaultdict(set)
        for row in table(source / CLASSES, ("patientId", "class")) if (source / CLASSES).is_file() else ():
            classes[row["patientId"]].add(row["class"])
        for patient, group in groups.items():
            if not patient:
                yield SetAside("", f"{len(group)} rows without patientId", LABELS)
                continue
            yield partial(self._record, source, patient, group, classes.get(patient, set()))
        if protocol == "mrm":
            for patient, target in mrm_test(source).items():
                yield partial(self._record, source, patient, [{"Target": target}], set(), TEST_IMAGES)

    def _record(
        self, source: Path, patient: str, group: list[dict[str, str]], classes: set[str], folder: str = IMAGES
    ) -> Iterator[Record | SetAside]:
        targets = {row["Target"] for row in group}
        where = f"{LABELS} {patient}"
        if len(targets) != 1 or not targets <= TARGETS.keys():
            yield SetAside(patient, f"Target is {' and '.join(sorted(targets)) or 'empty'}; expected 0 or 1", where)
            return
        if len(classes) > 1 or not classes <= ABNORMAL.keys():
            yield SetAside(patient, f"class is {' and '.join(sorted(classes))}", f"{CLASSES} {patient}")
            return
        picture = read_picture(source, f"{folder}/{patient}.dcm", patient)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = Objects(patient, picture.height, picture.width, LABELS)
        for row in group:
            box = [row.get(column, "") for column in COLUMNS[1:5]]
            if targets == {"1"} and folder == IMAGES:
                objects.sized_box("pneumonia", *box)
            elif any(box):
                objects.refuse("a box although Target is 0")
        yield from objects.aside
        labels = {"pneumonia": TARGETS[targets.pop()]}
        if classes:
            labels["abnormal"] = ABNORMAL[classes.pop()]
        yield Record(
            study_id=patient,
            patient_id=patient,
            images=(picture.data,),
            views=("frontal",),
            modality="xray",
            body_part="chest",
            labels=labels,
            source=f"rsna {folder}/{patient}.dcm",
            licence=self.licence,
            **objects.fields(),
        )


BUILDER = Rsna
