"""PathVQA: questions about pathology images of two textbooks and a digital library (He et al. 2020).

Source: https://github.com/UCSD-AI4H/PathVQA. Licence: of the repository MIT; images and captions belong to the publishers of
the books and to the PEIR library. Native layout, in SOURCE or SOURCE/pvqa:

    images/{train,val,test}/{train,val,test}_0000.jpg
    pvqa_{train,val,test}.json     from the owner's repository (baselines/method1/saved/lxmert): a list of objects with
                                   `img_id`, `sentf`: {"pvqa": [question, ...]} and `labelf`: {"pvqa": [{answer: 1}, ...]}

The download has its questions in qas/*/{train,val,test}_qa.pkl instead. A pickle runs whatever code it holds, so it is not
read; rewritten as JSON, a list of objects with `image`, `question` and `answer` beside it, it is.

A record is one image. The same question with the same answer about one image counts once, which gives the 6,719 test
questions that the field reports on.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import attached, json_list, plain, read_json, require, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.questions import Asked, by_image, kind_of
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.errors import UserError
from unimedvlp.records import Question

SHORT = {"train": "train", "validation": "val", "test": "test"}
LXMERT = ("img_id", "sentf", "labelf")
PICKLE = (  # no class can be found, so none of the file's code runs
    '{path} is a pickle, which can run any code when it is opened; rewrite it once: python -c "import json, pickle; '
    "Plain = type('Plain', (pickle.Unpickler,), {{'find_class': None}}); "
    "json.dump(Plain(open('{path}', 'rb')).load(), open('{json}', 'w'))\", which takes lists, texts and numbers alone"
)


class PathVqa(Builder):
    """PathVQA's images and questions."""

    name, version, licence = "path_vqa", "1.0.0", "images: of the publishers; see https://github.com/UCSD-AI4H/PathVQA"
    protocols: ClassVar = {
        "official": Protocol(
            by_id_suffix,
            "the published split, each question about an image once",
            expected={"train": 19654, "validation": 6259, "test": 6719},
            counted="questions",
        ),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image and split."""
        root = source / "pvqa" if (source / "pvqa").is_dir() else source
        if not (root / "images").is_dir():
            raise wrong_layout(root, "images/")
        paths = {split: _file(root, short) for split, short in SHORT.items()}
        for split, path in paths.items():
            asked, seen = [], set()
            for item in _questions(path, split):
                key = (item.image, item.question.question, item.question.answer)
                if key in seen:
                    yield SetAside(item.image, "the same question and answer again", item.where)
                else:
                    seen.add(key)
                    asked.append(item)
            folder = root / "images" / SHORT[split]
            yield from by_image(
                asked,
                lambda item, folder=folder: partial(attached, folder, f"{item.image}.jpg"),
                lambda item: {"modality": "pathology", "source": f"path_vqa {item.where}", "licence": self.licence},
            )


def _file(root: Path, short: str) -> Path:
    """The questions of a split; UserError with the way out where there is only the pickle."""
    names = [
        f"{folder}{name}.json" for name in (f"{short}_qa", f"pvqa_{short}") for folder in (f"qas/{short}/", "qas/", "")
    ]
    for name in names:
        if (root / name).is_file():
            return root / name
    for name in names:
        if (pickle := (root / name).with_suffix(".pkl")).is_file():
            raise UserError(PICKLE.format(path=pickle, json=pickle.with_suffix(".json")))
    raise wrong_layout(root, f"pvqa_{short}.json or {short}_qa.json")


def _questions(path: Path, split: str) -> Iterator[Asked]:
    content = read_json(path)
    if isinstance(content, list) and content and isinstance(content[0], dict) and "img_id" in content[0]:
        for i, row in enumerate(json_list(path, LXMERT)):
            yield from _lxmert(row, split, f"{path}: item {i}", f"{path.name} item {i}")
        return
    for i, row in enumerate(json_list(path, ("image", "question", "answer"))):
        image, answer = plain(row["image"]).removesuffix(".jpg"), plain(row["answer"])
        yield Asked(
            image[:80], split, Question(plain(row["question"]), answer, kind_of(answer)), f"{path.name} item {i}"
        )


def _lxmert(row: dict, split: str, full: str, where: str) -> Iterator[Asked]:
    """The questions of one image, each with its answer at the same place of another list."""
    for field in ("sentf", "labelf"):
        require(row[field], ("pvqa",), f"{full} {field}")
    questions, answers = row["sentf"]["pvqa"], row["labelf"]["pvqa"]
    if not isinstance(questions, list) or not isinstance(answers, list) or len(questions) != len(answers):
        raise UserError(f"{full}: expected as many answers in labelf as questions in sentf")
    for question, scores in zip(questions, answers, strict=True):
        answer = plain(max(scores, key=scores.get)) if isinstance(scores, dict) and scores else ""
        yield Asked(plain(row["img_id"])[:80], split, Question(plain(question), answer, kind_of(answer)), where)


BUILDER = PathVqa
