"""RadQA: questions that physicians asked about radiology reports, answered by spans of the report (Soni et al. 2022).

Source: https://physionet.org/content/radqa, after signing its agreement. Licence: PhysioNet Credentialed Health Data.
Native layout: train.json, dev.json, test.json in the form of SQuAD 2.0: `data` -> `paragraphs` -> `context` and `qas`, each
with `id`, `question`, `answers` (`text`, `answer_start`) and `is_impossible`.

A record is one context with its questions. An impossible question has the answer "unanswerable" and the topic "impossible".
Where several annotators answered, the first answer is taken. An answer that is not where its `answer_start` says is set
aside.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import objects, one_of, plain, read_json, require
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.summary import SetAside
from unimedvlp.records import Question, Record

FILES = {"train": "train.json", "validation": "dev.json", "test": "test.json"}
IMPOSSIBLE = "unanswerable"


class RadQa(Builder):
    """RadQA's three files."""

    name, version, licence = "radqa", "1.0.0", "PhysioNet Credentialed Health Data License"
    protocols: ClassVar = {"official": Protocol(by_id_suffix, "the published train, dev and test files")}

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a context."""
        paths = {split: one_of(source, name) for split, name in FILES.items()}
        ids: set[str] = set()
        for split, path in paths.items():
            for study_id, paragraph, where in _paragraphs(path):
                questions = []
                for row in paragraph["qas"]:
                    found = _question(row, paragraph["context"], where)
                    if row["id"] in ids:
                        found = SetAside(study_id, "a second question with this id", f"{where} {row['id']}")
                    ids.add(row["id"])
                    if isinstance(found, SetAside):
                        yield found
                    else:
                        questions.append(found)
                if not questions:
                    yield SetAside(study_id, "no question left", where)
                    continue
                yield Record(
                    study_id=f"{study_id}/{split}",
                    modality="text",
                    text=str(paragraph["context"]),
                    qa=tuple(questions),
                    source=f"radqa {where}",
                    licence=self.licence,
                )


def _paragraphs(path: Path) -> Iterator[tuple[str, dict, str]]:
    """(name, paragraph, where it is) of each context; UserError where the file is not in SQuAD's form."""
    content = read_json(path)
    require(content, ("data",), str(path))
    for i, document in enumerate(objects(content["data"], ("paragraphs",), f"{path}: data")):
        for j, paragraph in enumerate(objects(document["paragraphs"], ("context", "qas"), f"{path}: document {i}")):
            where = f"{path.name} document {i} paragraph {j}"
            objects(paragraph["qas"], ("id", "question", "answers"), f"{path.parent}/{where}")
            yield f"{plain(document.get('title')) or path.stem}-{i}-{j}", paragraph, where


def _question(row: dict, context: str, where: str) -> Question | SetAside:
    question, where = plain(row["question"]), f"{where} {row['id']}"
    if not question:
        return SetAside(str(row["id"]), "question or answer is empty", where)
    if row.get("is_impossible"):
        return Question(question, IMPOSSIBLE, "open", "impossible")
    if not row["answers"]:
        return SetAside(str(row["id"]), "question or answer is empty", where)
    answer = objects(row["answers"], ("text", "answer_start"), where)[0]
    text, start = str(answer["text"]), answer["answer_start"]
    if not text.strip() or not isinstance(start, int) or str(context)[start : start + len(text)] != text:
        return SetAside(str(row["id"]), "answer is not where answer_start says", where)
    return Question(question, text.strip(), "open")


BUILDER = RadQa
