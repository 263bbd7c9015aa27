"""SLAKE: questions in English and Chinese about radiological images, with masks of organs and diseases (Liu et al. 2021).

Source: https://www.med-vqa.com/slake; 642 images, 14,028 questions. Licence: CC BY 4.0, as its Hugging Face card states.
Native layout, in SOURCE or SOURCE/Slake1.0:

    train.json, validate.json or validation.json, test.json    lists with img_name, question, answer, q_lang (en or zh),
                                                               location, modality, answer_type, content_type, qid
    imgs/xmlabN/source.jpg, imgs/xmlabN/mask.png               the image, and its map of class numbers if it has one
    mask.txt                                                   NUMBER:CLASS, a line each

A record is one image with its questions of one language and split, and one mask a class. The published splits of English
and of Chinese questions each keep an image on one side, but they are two different splits: with both languages together
test images also occur in training.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_pipelines.annotations import label_map
from data_pipelines.builder import Builder
from data_pipelines.images import encode_png
from data_pipelines.native import attached, json_list, one_of, plain, read_text, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix, by_patient
from data_pipelines.questions import Asked, by_image
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import Question

FILES = {"train": ("train.json",), "validation": ("validate.json", "validation.json"), "test": ("test.json",)}
FIELDS = ("img_name", "question", "answer", "q_lang", "location", "modality", "answer_type", "content_type", "qid")
LANGUAGES = {"official": ("en",), "official-zh": ("zh",)}  # others: both
MODALITIES = {"ct": "ct", "mri": "mr", "x-ray": "xray"}
BODY_PARTS = {
    "lung": "chest", "chest_lung": "chest", "chest_heart": "chest", "chest_mediastinal": "chest", "abdomen": "abdomen",
    "brain": "brain", "brain_tissue": "brain", "brain_face": "head", "neck": "neck", "pelvic cavity": "pelvis",
}  # fmt: skip


class Slake(Builder):
    """SLAKE's questions, images and masks."""

    name, version, licence = "slake", "1.0.0", "CC-BY-4.0"
    protocols: ClassVar = {
        "official": Protocol(
            by_id_suffix,
            "published split of the English questions",
            expected={"train": 4918, "validation": 1053, "test": 1061},
            counted="questions",
        ),
        "official-zh": Protocol(
            by_id_suffix,
            "published split of the Chinese questions",
            expected={"train": 4916, "validation": 1046, "test": 1033},
            counted="questions",
        ),
        "official-both": Protocol(
            by_id_suffix,
            "published splits of the questions in both languages",
            expected={"train": 9834, "validation": 2099, "test": 2094},
            counted="questions",
            leaks="the splits of the two languages differ: test images of one occur in training with the other",
        ),
        "image-disjoint": Protocol(
            by_patient(0),
            "both languages, all questions of an image on one side: 80/10/10 by a hash of the image's name",
            expected={"train": 11443, "validation": 1536, "test": 1048},
            counted="questions",
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image and split."""
        root = source / "Slake1.0" if (source / "Slake1.0").is_dir() else source
        if not (root / "imgs").is_dir():
            raise wrong_layout(root, "imgs/")
        names = _classes(root / "mask.txt")
        paths = {split: one_of(root, *files) for split, files in FILES.items()}
        asked = [
            (_asked(row, split, f"{path.name} item {i}"), row)
            for split, path in paths.items()
            for i, row in enumerate(json_list(path, FIELDS))
            if plain(row["q_lang"]) in LANGUAGES.get(protocol, ("en", "zh"))
        ]
        first = {item.image: row for item, row in reversed(asked)}
        faults: list[SetAside] = []

        def fields(item: Asked) -> dict[str, Any]:
            folder, row = root / "imgs" / Path(item.image), first[item.image]
            masks, found = _masks(folder, names, item.image)
            faults.extend(found)
            return masks | {
                "modality": MODALITIES.get(plain(row["modality"]).lower(), "other"),
                "body_part": BODY_PARTS.get(plain(row["location"]).lower(), ""),
                "source": f"slake {item.where}",
                "licence": self.licence,
            }

        def picture(item: Asked) -> partial:
            return partial(attached, root / "imgs", plain(first[item.image]["img_name"]))

        for found in by_image((item for item, _ in asked), picture, fields, protocol != "image-disjoint"):
            yield from faults
            faults.clear()
            yield found


def _asked(row: dict, split: str, where: str) -> Asked:
    kind = plain(row["answer_type"]).lower()
    question = Question(
        plain(row["question"]), plain(row["answer"]), kind if kind in ("open", "closed") else "", plain(row["content_type"]).lower()
    )  # fmt: skip
    return Asked(plain(row["img_name"]).partition("/")[0][:80], split, question, where, plain(row["qid"]))


def _classes(path: Path) -> dict[int, str]:
    """{number: class} of mask.txt; nothing if there is no such file."""
    if not path.is_file():
        return {}
    names = {}
    for i, line in enumerate(read_text(path).splitlines(), start=1):
        number, colon, name = line.partition(":")
        if line.strip():
            if not colon or not number.strip().isdigit():
                raise UserError(f"{path}: line {i} is not NUMBER:CLASS: {line[:40]!r}")
            names[int(number)] = name.strip().lower()
    return names


def _masks(folder: Path, names: dict[int, str], image: str) -> tuple[dict[str, Any], list[SetAside]]:
    """The masks of an image as fields of a record, and what had to be left out."""
    data, fault = attached(folder, "mask.png")
    if fault:
        return {}, [SetAside(image, "mask file missing", f"{image}/mask.png")]
    try:
        classes = label_map(data)
    except UserError as error:
        return {}, [SetAside(image, str(error), f"{image}/mask.png")]
    found = [int(number) for number in np.unique(classes) if number]
    faults = [
        SetAside(image, "a mask's class is not in mask.txt", f"{image}/mask.png: {number}")
        for number in found
        if number not in names
    ]
    known = [number for number in found if number in names]
    masks = tuple(encode_png((classes == number) * np.uint8(255)) for number in known)
    return {"masks": masks, "mask_classes": tuple(names[number] for number in known)}, faults


BUILDER = Slake
