"""VinDr-CXR: frontal chest radiographs with boxes and diagnoses by radiologists (Nguyen et al. 2022).

Source: https://physionet.org/content/vindr-cxr (credentialed access); also Kaggle's VinBigData challenge, training part only.
Licence: PhysioNet's for credentialed users.

Native layout, tables in SOURCE or SOURCE/annotations:

    annotations_train.csv (VinBigData: train.csv)   image_id, class_name, class_id, rad_id, x_min, y_min, x_max, y_max
    annotations_test.csv                            the same, without class_id and rad_id: a consensus
    image_labels_train.csv, image_labels_test.csv   optional: image_id, rad_id and 28 findings and diagnoses (1, 0)
    train/ID.dicom, test/ID.dicom

Three radiologists read each training image. All their boxes are kept, so one lesion may have up to three; a finding is
positive if at least two readers marked it, uncertain if one did, negative if none did. In the test set the consensus decides.
With the tables of image labels, which also have diagnoses without a box, labels are theirs, by the same votes.
Boxes are in pixels of the DICOM image, so only DICOM images are read. The source names no patients: an image counts as one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.annotations import Objects
from data_pipelines.builder import Builder
from data_pipelines.native import root_of, table, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Protocol, by_patient, label_fractions
from data_pipelines.protocols.native import by_folder, own_lists
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record

TABLES = {"train": ("annotations_train.csv", "train.csv"), "test": ("annotations_test.csv",)}
CORNERS = ("x_min", "y_min", "x_max", "y_max")
COLUMNS = ("image_id", "class_name", *CORNERS)
ALIASES = {"other disease": "other diseases"}  # the two tables of image labels differ
NOTHING = "no finding"
CONSENSUS = "consensus"


class Vindr(Builder):
    """VinDr-CXR as PhysioNet ships it, or VinBigData's training part."""

    name, version, licence = "vindr", "1.0.0", "PhysioNet-Credentialed"
    protocols: ClassVar = label_fractions(
        "official",
        Protocol(
            by_folder(0.2),
            "the owner's training and test images; a fifth of the training images validates",
            expected={"test": 3000},
        ),
    ) | {
        "by-image": Protocol(by_patient(0), "all images, 80/10/10 by a hash of the id, seed 0"),
        "lists": own_lists(lambda name: name),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, training images first."""
        root = root_of(source, *TABLES["train"])
        images = root.parent if root.name == "annotations" else root
        for split, names in TABLES.items():
            name = next((name for name in names if (root / name).is_file()), "")
            if not name and protocol.startswith("official"):
                raise wrong_layout(root, f"{names[0]} (or take --protocol by-image)")
            groups: dict[str, list[dict[str, str]]] = defaultdict(list)
            for row in table(root / name, COLUMNS) if name else ():
                groups[row["image_id"]].append(row)
            labels: dict[str, dict[str, str]] = {}
            yield from _image_labels(root / f"image_labels_{split}.csv", labels)
            known = sorted({row["class_name"].lower() for group in groups.values() for row in group} - {""})
            for image, group in groups.items():
                if not image:
                    yield SetAside("", f"{len(group)} rows without image_id", name)
                    continue
                yield partial(self._record, images, split, image, group, known, name, labels.pop(image, {}))
            yield from (
                SetAside(f"{split}/{image}", "labels of an image without annotations", name) for image in labels
            )

    def _record(
        self,
        images: Path,
        split: str,
        image: str,
        group: list[dict[str, str]],
        known: list[str],
        name: str,
        labels: dict[str, str],
    ) -> Iterator[Record | SetAside]:
        study_id = f"{split}/{image}"
        picture = read_picture(images, f"{study_id}.dicom", study_id)
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = Objects(study_id, picture.height, picture.width, f"{name} {image}")
        marked: dict[str, set[str]] = defaultdict(set)  # class -> readers
        for row in group:
            finding = row["class_name"].lower()
            if not finding:
                objects.refuse("a row without class_name")
                continue
            marked[finding].add(row.get("rad_id") or CONSENSUS)
            if finding != NOTHING:
                objects.box(finding, *(row[corner] for corner in CORNERS))
        yield from objects.aside
        readers = set().union(*marked.values())
        votes = Counter({finding: len(names) for finding, names in marked.items()})
        yield Record(
            study_id=study_id,
            patient_id=image,
            images=(picture.data,),
            views=("frontal",),
            modality="xray",
            body_part="chest",
            labels=labels or {finding: _label(votes[finding], len(readers)) for finding in known},
            source=f"vindr {study_id}.dicom",
            licence=self.licence,
            **objects.fields(),
        )


def _image_labels(path: Path, labels: dict[str, dict[str, str]]) -> Iterator[SetAside]:
    """Fill `labels` with those of each image by the votes of its readers, a row each; nothing without the table."""
    votes: dict[str, Counter] = defaultdict(Counter)
    readers: Counter = Counter()
    findings: dict[str, None] = {}
    for i, row in enumerate(table(path, ("image_id", "No finding")) if path.is_file() else (), start=1):
        image = row["image_id"]
        marks = {name.lower(): value for name, value in row.items() if name.lower() not in ("image_id", "rad_id", "")}
        marks = {ALIASES.get(name, name): value.removesuffix(".0") for name, value in marks.items()}
        if not image or not set(marks.values()) <= {"0", "1", ""}:
            yield SetAside(
                image,
                "a row of image labels without image_id, or with a label that is not 1 or 0",
                f"{path.name} row {i}",
            )
            continue
        findings |= dict.fromkeys(marks)
        readers[image] += 1
        votes[image].update({name: 1 for name, value in marks.items() if value == "1"})
    for image, count in readers.items():
        labels[image] = {name: _label(votes[image][name], count) for name in findings}


def _label(votes: int, readers: int) -> str:
    return NEGATIVE if not votes else UNCERTAIN if votes == 1 and readers > 1 else POSITIVE


BUILDER = Vindr
