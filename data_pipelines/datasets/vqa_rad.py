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

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import image_index, json_list, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix, by_patient, share
from data_pipelines.summary import SetAside
from unimedvlp.records import Question, Record

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

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record an image, or an image and split, with all its questions."""
        root = source / "data_RAD" if (source / "data_RAD").is_dir() else source
        items = _items(root)
        files = image_index([root / "images", root / "VQA_RAD Image Folder", root])
        groups: dict[str, list[dict]] = defaultdict(list)
        for item in items:
            image = Path(item["image_name"]).stem
            groups[f"{image}/{item['split']}" if protocol == "official" else image].append(item)
        for study_id, group in groups.items():
            image = study_id.partition("/")[0]
            if image not in files:
                yield SetAside(study_id, "image file missing", group[0]["image_name"])
                continue
            questions = []
            for item in group:
                if item["question"] and item["answer"]:
                    questions.append(Question(item["question"], item["answer"], item["kind"], item["topic"]))
                else:
                    yield SetAside(study_id, "question or answer is empty", f"qid {item['qid']}")
            if not questions:
                yield SetAside(study_id, "no question left")
                continue
            body_part, modality = ORGANS.get(group[0]["image_organ"].strip().upper(), ("", "other"))
            yield Record(
                study_id=study_id,
                patient_id=image,
                images=(files[image].read_bytes(),),
                views=("unknown",),
                modality=modality,
                body_part=body_part,
                qa=tuple(questions),
                source=f"vqa_rad {image}",
                licence=self.licence,
            )


def _items(root: Path) -> list[dict]:
    """All questions, cleaned, each with its split under `official`."""
    if (root / "trainset.json").is_file() and (root / "testset.json").is_file():
        parts = [
            (name == "testset", row)
            for name in ("trainset", "testset")
            for row in json_list(root / f"{name}.json", FIELDS)
        ]
    elif (root / PUBLIC).is_file():
        rows = json_list(root / PUBLIC, FIELDS)
        parts = [(str(row["phrase_type"]).startswith("test"), row) for row in rows]
        parts += [
            (False, row | {"question": row["question_frame"], "phrase_type": "frame"})
            for test, row in list(parts)
            if not test and str(row.get("question_frame") or "NULL").strip().upper() != "NULL"
        ]
    else:
        raise wrong_layout(root, f"trainset.json and testset.json, or {PUBLIC!r}")
    return [_clean(row, test) for test, row in parts]


def _clean(row: dict, test: bool) -> dict:
    question, kind = str(row["question"]).strip(), str(row["answer_type"]).strip().lower()
    held_out = share(f"{row['image_name']} {question.lower()}") < 0.1
    topics = [TOPICS.get(part.strip().upper(), part.strip().lower()) for part in str(row["question_type"]).split(",")]
    return {
        "qid": row.get("qid", ""),
        "image_name": str(row["image_name"]),
        "image_organ": str(row["image_organ"]),
        "question": question,
        "answer": str(row["answer"]).strip(),
        "kind": kind if kind in ("open", "closed") else "",
        "topic": ", ".join(dict.fromkeys(topics)),
        "split": "test" if test else "validation" if held_out else "train",
    }


BUILDER = VqaRad
