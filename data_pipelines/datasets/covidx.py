"""COVIDx CXR: chest radiographs of several public collections, with or without COVID-19 (Wang et al. 2020).

Source: https://www.kaggle.com/datasets/andyczhao/covidx-cxr2 and https://github.com/lindawangg/COVID-Net. Licence: that of each
collection; the lists are for non-commercial use.

Native layout: a list a split, `patient filename class source` separated by blanks, and the images in a folder a split:

    9B, 8B    train_COVIDx9B.txt, test_COVIDx9B.txt                  positive or negative; 9B 30,482 / 400
    9A, 8A    train_COVIDx9A.txt, test_COVIDx9A.txt                  normal, pneumonia or COVID-19; 9A 30,130 / 400
    CXR-3B    train_COVIDx_CXR-3B.txt, test_COVIDx_CXR-3B.txt        positive or negative; 29,986 / 400
    CXR-3A    train_COVIDx_CXR-3A.txt, test_COVIDx_CXR-3A.txt        the three classes; 29,634 / 400
    CXR-4     train.txt, val.txt, test.txt                           positive or negative; 67,862 / 8,472 / 8,481
    train/*, val/*, test/*

The protocol says which lists are read. A file name may hold blanks. Patient numbers are only unique within a collection, so
the patient is COLLECTION/NUMBER. Of the three classes, "normal" is "no finding"; "pneumonia" is unmentioned in COVID-19.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import read_text, wrong_layout
from data_pipelines.pictures import read_picture
from data_pipelines.protocols import Protocol, label_fractions
from data_pipelines.protocols.native import by_folder
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

VERSIONS = {"9B": "9B", "9A": "9A", "8B": "8B", "8A": "8A", "CXR-3B": "_CXR-3B", "CXR-3A": "_CXR-3A"}
LISTS = {
    version: {split: f"{split}_COVIDx{name}.txt" for split in ("train", "test")} for version, name in VERSIONS.items()
}
LISTS |= {"CXR-4": {"train": "train.txt", "val": "val.txt", "test": "test.txt"}}
LABELS = {
    "positive": {"covid-19": POSITIVE},
    "negative": {"covid-19": NEGATIVE},
    "normal": {"covid-19": NEGATIVE, "pneumonia": NEGATIVE, "no finding": POSITIVE},
    "pneumonia": {"covid-19": NEGATIVE, "pneumonia": POSITIVE, "no finding": NEGATIVE},
    "covid-19": {"covid-19": POSITIVE, "no finding": NEGATIVE},
}


def _protocol(version: str) -> Protocol:
    about = f"the lists of COVIDx {version}; a tenth of the training patients validates"
    return Protocol(by_folder(0.1), about, expected={} if version.startswith("8") else {"test": 400})


class Covidx(Builder):
    """COVIDx CXR in the versions that have been compared on."""

    name, version, licence = "covidx", "1.0.0", "COVIDx-sources"
    protocols: ClassVar = (
        label_fractions("9B", _protocol("9B"))
        | {version: _protocol(version) for version in VERSIONS if version != "9B"}
        | {
            "CXR-4": Protocol(
                by_folder(),
                "the lists of COVIDx CXR-4",
                expected={"train": 67862, "validation": 8472, "test": 8481},
            ),
        }
    )

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, in the order of the lists."""
        lists = next(lists for version, lists in LISTS.items() if protocol.startswith(version))
        if missing := [name for name in lists.values() if not (source / name).is_file()]:
            raise wrong_layout(source, missing[0])
        for folder, name in lists.items():
            lines = read_text(source / name).splitlines()
            if not any(map(str.strip, lines)):
                raise UserError(f"{source / name} is empty")
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield partial(self._record, source, folder, line.split(), f"{name} line {number}")

    def _record(self, source: Path, folder: str, words: list[str], where: str) -> Record | SetAside:
        if len(words) < 4:
            return SetAside(" ".join(words), "expected patient, file name, class and source", where)
        patient, name, label, collection = words[0], " ".join(words[1:-2]), words[-2].lower(), words[-1]
        study_id = f"{folder}/{name}"
        if label not in LABELS:
            return SetAside(study_id, f"unknown class {label!r}", where)
        picture = read_picture(source, study_id, study_id)
        if isinstance(picture, SetAside):
            return picture
        return Record(
            study_id=study_id,
            patient_id=f"{collection}/{patient}",
            images=(picture.data,),
            views=("frontal",),
            modality="xray",
            body_part="chest",
            labels=LABELS[label],
            source=f"covidx {study_id}",
            licence=self.licence,
        )


BUILDER = Covidx
