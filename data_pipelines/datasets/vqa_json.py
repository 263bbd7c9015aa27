"""Your own questions about images: no code needed.

Layout: one file in SOURCE (JSON, JSON lines, CSV or TSV), a list of objects or an object that holds one list, with a key
`split`, or one file a split named train, val, test (or trainset, valset, testset); the images (PNG, JPEG, DICOM) in SOURCE,
SOURCE/images or SOURCE/imgs, or in the folder that --images names.
Keys are found by their usual names or named with --columns FIELD=KEY. Fields: image, question, answer; kind (open or closed;
yes and no are closed where no key says it), topic; id (of the question), patient, split.
A record is one image with its questions of one split. Where an image is asked about in two splits, `given` refuses them;
`by-patient` keeps all questions about an image, or about a patient, on one side.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from data_pipelines.builder import option
from data_pipelines.own_tables import IMAGE, OwnTable, Row, find_picture
from data_pipelines.questions import Asked, by_image, kind_of
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Question


@dataclasses.dataclass(frozen=True)
class VqaJson(OwnTable):
    """Any list of questions about images."""

    name = "vqa_json"
    known: ClassVar = {
        "image": IMAGE,
        "question": ("question",),
        "answer": ("answer",),
        "kind": ("kind", "answer_type"),
        "topic": ("topic", "question_type", "content_type"),
    }
    needs: ClassVar = ("image", "question", "answer")

    images: str = option("", "folder of the images, relative to SOURCE")

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image, under `given` an image and split."""
        asked: list[Asked] = []
        patients: dict[str, str] = {}
        for row in self.rows(source, protocol):
            if isinstance(row, SetAside):
                yield row
            else:
                asked.append(_asked(row))
                patients.setdefault(asked[-1].image, row.patient)

        def picture(item: Asked) -> partial:
            return partial(_picture, source, self.images, item.image)

        def fields(item: Asked) -> dict[str, Any]:
            known = self.common(item.where)
            return known | {"patient_id": patients[item.image]} if patients[item.image] else known

        yield from by_image(asked, picture, fields, protocol == "given")


def _picture(source: Path, folder: str, image: str) -> tuple[bytes, str]:
    found = find_picture(source, folder, image, image)
    return (b"", found.reason) if isinstance(found, SetAside) else (found.data, "")


def _asked(row: Row) -> Asked:
    said = row.fields.get("kind", "").lower()
    answer = row.fields.get("answer", "")
    question = Question(
        row.fields.get("question", ""),
        answer,
        said if said in ("open", "closed") else kind_of(answer),
        row.fields.get("topic", "").lower(),
    )
    return Asked(row.fields.get("image", ""), row.split, question, row.where, row.id)


BUILDER = VqaJson
