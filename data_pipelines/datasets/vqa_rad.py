"""VQA-RAD: questions that clinicians asked about radiographs, CT and MR images (Lau et al. 2018).

Source: https://osf.io/89kps; 315 images (one without a question), 3,515 question-answer pairs. Licence: CC0 1.0.

Two native layouts are read, from SOURCE or SOURCE/data_RAD:

    MEVF       trainset.json, testset.json, images/*.jpg
    original   VQA_RAD Dataset Public.json, "VQA_RAD Image Folder"/*.jpg or images/*.jpg

In the original file a `phrase_type` that begins with "test" marks the test questions, and a training item's
`question_frame` is a question of its own, with the same answer. Answers may be numbers; answer types come in any case and
with blanks; both are mended. The modality of head and abdomen images is "other", since the source does not tell CT from MR.

A record is one image with its questions of one split. In `official` the published test questions are about images that also
occur in training, so the record's id is IMAGE/SPLIT; `image-disjoint` is the protocol to draw conclusions from.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import attached, image_index, json_list, plain, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix, by_patient, share
from data_pipelines.questions import Asked, by_image
from data_pipelines.work import Item
from unimedvlp.records import Question

FIELDS = ("image_name", "image_organ", "question", "question_type", "answer", "answer_type", "phrase_type")
PUBLIC = "VQA_RAD Dataset Public.json"
ORGANS = {"HEAD": ("head", "other"), "CHEST": ("chest", "xray"), "ABD": ("abdomen", "other")}  # body part, modality
TOPICS = {
    "PRES": "presence",
    "PRSE": "presence",
    "POS": "position",
    "ABN": "abnormality",
    "SIZE": "size",
    "MODALITY": "modality",
    "ATTRIB": "attribute",
    "ATRIB": "attribute",
    "PLANE": "plane",
    "COLOR": "color",
    "ORGAN": "organ",
    "COUNT": "count",
    "OTHER": "other",
}


class VqaRad(Builder):
    """VQA-RAD as MEVF's two files or the original one."""

    name, version, licence = "vqa_rad", "1.0.0", "CC0-1.0"
    protocols: ClassVar = {
        "official": Protocol(
            by_id_suffix,
            "published test questions; validation is a tenth of the training questions by a hash of image and question",
            expected={"train": 2740, "validation": 324, "test": 451},
            counted="questions",
            leaks="the published test images all occur in training: only the questions differ",
        ),
        "image-disjoint": Protocol(
            by_patient(0),
            "all questions of an image on one side: 80/10/10 by a hash of the image's name",
            expected={"train": 2803, "validation": 342, "test": 370},
            counted="questions",
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, or an image and split, with all its questions."""
        root = source / "data_RAD" if (source / "data_RAD").is_dir() else source
        items = list(_items(root))
        files = image_index([root / "images", root / "VQA_RAD Image Folder", root])
        organs = {item.image: organ for item, organ in reversed(items)}

        def picture(item: Asked) -> partial:
            path = files.get(item.image)
            return partial(attached, path.parent, path.name) if path else partial(attached, root, "")

        def fields(item: Asked) -> dict[str, str]:
            body_part, modality = ORGANS.get(organs[item.image], ("", "other"))
            known = {"source": f"vqa_rad {item.image}", "licence": self.licence}
            return known | {"body_part": body_part, "modality": modality}

        yield from by_image((item for item, _ in items), picture, fields, protocol == "official")


def _items(root: Path) -> Iterator[tuple[Asked, str]]:
    """All questions, cleaned, each with its split under `official` and its organ."""
    if (root / "trainset.json").is_file() and (root / "testset.json").is_file():
        for name in ("trainset.json", "testset.json"):
            for row in json_list(root / name, FIELDS):
                yield _clean(row, name == "testset.json", name)
    elif (root / PUBLIC).is_file():
        for row in json_list(root / PUBLIC, FIELDS):
            test = str(row["phrase_type"]).startswith("test")
            yield _clean(row, test, PUBLIC)
            frame = plain(row.get("question_frame"), ("nan", "null"))
            if frame and not test:
                yield _clean(row | {"question": frame, "qid": f"{row.get('qid', '')} frame"}, test, PUBLIC)
    else:
        raise wrong_layout(root, f"trainset.json and testset.json, or {PUBLIC!r}")


def _clean(row: dict, test: bool, name: str) -> tuple[Asked, str]:
    question, kind = plain(row["question"]), plain(row["answer_type"]).lower()
    held_out = share(f"{row['image_name']} {question.lower()}") < 0.1
    topics = [TOPICS.get(part.strip().upper(), part.strip().lower()) for part in str(row["question_type"]).split(",")]
    asked = Asked(
        image=Path(str(row["image_name"])).stem,
        split="test" if test else "validation" if held_out else "train",
        question=Question(
            question, plain(row["answer"]), kind if kind in ("open", "closed") else "", ", ".join(dict.fromkeys(topics))
        ),
        where=f"{name} qid {row.get('qid', '')}",
        qid=plain(row.get("qid")),
    )
    return asked, plain(row["image_organ"]).upper()


BUILDER = VqaRad
