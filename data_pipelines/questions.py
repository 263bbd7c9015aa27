"""Questions about images gathered into records: what the visual question answering sets share."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Question, Record


@dataclasses.dataclass(frozen=True)
class Asked:
    """A question as its source has it: about which image (the name of its record), in which split, and where it stands."""

    image: str
    split: str
    question: Question
    where: str
    qid: str = ""


def kind_of(answer: str) -> str:
    """ "closed" for yes and no, "open" for anything else: for sources that do not say it."""
    return "closed" if answer.strip().rstrip(".").lower() in ("yes", "no") else "open"


def by_image(
    asked: Iterable[Asked],
    picture: Callable[[Asked], Callable[[], tuple[bytes, str]]],
    fields: Callable[[Asked], dict[str, Any]],
    by_split: bool = True,
) -> Iterator[Item]:
    """One record an image and split, called IMAGE/SPLIT, with all its questions; or one an image, called IMAGE.

    `picture` gives a function, such as a partial of `attached`, that reads the image's bytes or says why there are none;
    `fields` the other fields of the record, both for the first of its questions. Empty questions and answers, repeated ids and questions without an image are set aside.
    """
    groups: dict[str, list[Asked]] = defaultdict(list)
    ids: set[tuple[str, str]] = set()
    for item in asked:
        if not item.question.question or not item.question.answer:
            yield SetAside(item.image, "question or answer is empty", item.where)
        elif item.qid and (item.split, item.qid) in ids:
            yield SetAside(item.image, "a second question with this id", item.where)
        else:
            ids.add((item.split, item.qid))
            groups[f"{item.image}/{item.split}" if by_split else item.image].append(item)
    for study_id, group in groups.items():
        yield partial(_record, study_id, group, picture(group[0]), fields(group[0]))


def _record(
    study_id: str, group: list[Asked], read: Callable[[], tuple[bytes, str]], fields: dict[str, Any]
) -> Iterator[Record | SetAside]:
    data, fault = read()
    if fault:
        yield from (SetAside(study_id, fault, item.where) for item in group)
        return
    known = {"patient_id": group[0].image, "images": (data,), "views": ("unknown",)}
    yield Record(study_id, qa=tuple(item.question for item in group), **(known | fields))
