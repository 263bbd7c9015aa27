"""SIIM-ACR Pneumothorax Segmentation: frontal chest radiographs with masks of pneumothoraces.

Source: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation; 12,954 rows. Licence: the challenge's terms,
non-commercial research and education.

Three native layouts are read:

    stage 1   train-rle.csv      ImageId, EncodedPixels; dicom-images-train/STUDY/SERIES/ImageId.dcm
    stage 2   stage_2_train.csv  ImageId, EncodedPixels; stage_2_images/ImageId.dcm
    PNG       stage_1_train_images.csv, stage_1_test_images.csv: new_filename, ImageId, has_pneumo;
              png_images/new_filename, png_masks/new_filename

The name of the column " EncodedPixels" and its value " -1" (no pneumothorax) begin with a blank. The pixels are runs on
1024 x 1024, column by column, each start counted from the end of the last run; the rows of one image are OR-ed into one mask.
The source names no patients, so each image counts as one. Images without a row are set aside.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_pipelines.annotations import Objects, label_map, relative_runs
from data_pipelines.builder import Builder
from data_pipelines.native import attached, image_tree, table, wrong_layout
from data_pipelines.pictures import DICOM_SUFFIXES, Picture, read_picture
from data_pipelines.protocols import Lists, Protocol, by_patient, label_fractions, share
from data_pipelines.protocols.native import own_lists
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

RUNS = {"train-rle.csv": "dicom-images-train", "stage_2_train.csv": "stage_2_images"}
PNG_TRAIN, PNG_TEST = "stage_1_train_images.csv", "stage_1_test_images.csv"
PNG_COLUMNS = ("new_filename", "ImageId", "has_pneumo")
SIDE = 1024  # pixels of the images that the runs were drawn on
CLASS = "pneumothorax"


def stage_1(source: Path) -> Lists:
    """The split of the PNG layout; an eighth of its training images validates."""
    if missing := [name for name in (PNG_TRAIN, PNG_TEST) if not (source / name).is_file()]:
        raise wrong_layout(source, missing[0])
    train, test = ([row["ImageId"] for row in table(source / name, PNG_COLUMNS)] for name in (PNG_TRAIN, PNG_TEST))
    lists = {"train": [], "validation": [], "test": test}
    for image in train:
        lists["validation" if share(image) < 1 / 8 else "train"].append(image)
    return lists


class Siim(Builder):
    """SIIM-ACR Pneumothorax as Kaggle ships it, DICOM or PNG."""

    name, version, licence = "siim", "1.0.0", "SIIM-ACR-Challenge"
    protocols: ClassVar = label_fractions(
        "random-70-15-15", Protocol(by_patient(0, (0.7, 0.15, 0.15)), "70/15/15 by a hash of the image's id, seed 0")
    ) | {
        "stage-1": Protocol(None, "test images of the PNG layout; an eighth of the others validates", lists=stage_1),
        "lists": own_lists(),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image."""
        name = next((name for name in RUNS if (source / name).is_file()), "")
        if name:
            yield from self._from_runs(source, name, RUNS[name])
        elif (source / PNG_TRAIN).is_file():
            yield from self._from_masks(source)
        else:
            raise wrong_layout(source, f"{', '.join(RUNS)} or {PNG_TRAIN}")

    def _from_runs(self, source: Path, name: str, folder: str) -> Iterator[Record | SetAside]:
        runs: dict[str, list[str]] = defaultdict(list)
        for row in table(source / name, ("ImageId", "EncodedPixels")):
            runs[row["ImageId"]].append(row["EncodedPixels"])
        if not (source / folder).is_dir():
            raise wrong_layout(source, f"{folder}/")
        files = image_tree(source / folder, DICOM_SUFFIXES)
        for image, texts in runs.items():
            if not image:
                yield SetAside("", f"{len(texts)} rows without ImageId", name)
                continue
            file = files.get(image, f"{image}.dcm")
            yield partial(self._from_run, source / folder, file, image, texts, f"{name} {image}")
        for image in sorted(files.keys() - runs.keys()):
            yield SetAside(image, f"no row in {name}", f"{folder}/{files[image]}")

    def _from_run(
        self, folder: Path, file: str, image: str, texts: list[str], where: str
    ) -> Iterator[Record | SetAside]:
        try:
            mask = _union(texts)
        except UserError as error:
            yield SetAside(image, str(error), where)
            return
        yield from self._record(image, read_picture(folder, file, image), mask, where, mask is not None)

    def _from_masks(self, source: Path) -> Iterator[Record | SetAside]:
        for name in (PNG_TRAIN, PNG_TEST):
            for row in table(source / name, PNG_COLUMNS) if (source / name).is_file() else ():
                image, where = row["ImageId"], f"{name} {row['new_filename']}"
                if not image:
                    yield SetAside("", "a row without ImageId", where)
                    continue
                if row["has_pneumo"] not in ("0", "1"):
                    yield SetAside(image, f"has_pneumo is {row['has_pneumo']!r}; expected 0 or 1", where)
                    continue
                mask = None
                if row["has_pneumo"] == "1":
                    data, why = attached(source / "png_masks", row["new_filename"])
                    try:
                        mask = label_map(data) if not why else None
                    except UserError as error:
                        why = str(error)
                    if why:
                        yield SetAside(image, f"mask: {why}", where)
                        continue
                picture = read_picture(source / "png_images", row["new_filename"], image)
                yield from self._record(image, picture, mask, where, row["has_pneumo"] == "1")

    def _record(
        self, image: str, picture: Picture | SetAside, mask: np.ndarray | None, where: str, positive: bool
    ) -> Iterator[Record | SetAside]:
        if isinstance(picture, SetAside):
            yield picture
            return
        objects = Objects(image, picture.height, picture.width, where)
        if mask is not None:
            objects.mask(CLASS, mask)
        yield from objects.aside
        yield Record(
            study_id=image,
            patient_id=image,
            images=(picture.data,),
            views=("frontal",),
            modality="xray",
            body_part="chest",
            labels={CLASS: POSITIVE if positive else NEGATIVE},
            source=f"siim {where}",
            licence=self.licence,
            **objects.fields(),
        )


def _union(texts: list[str]) -> np.ndarray | None:
    """The mask of all rows of one image, or None if each says -1."""
    masks = [relative_runs(text, SIDE, SIDE) for text in texts if text != "-1"]
    return np.logical_or.reduce(masks) if masks else None


BUILDER = Siim
