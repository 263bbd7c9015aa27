"""PMC-VQA: generated questions about figures of open-access articles, each with four choices (Zhang et al. 2023).

Source: https://huggingface.co/datasets/xmcmic/PMC-VQA. Licence: CC BY-SA, as its card states. Native layout:

    version 1    train.csv, test.csv, test_clean.csv; images/ or figures/
                 Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D,Answer_label
    version 2    train_2.csv, test_2.csv (also train2.csv, test2.csv); images_2/, images2/, figures/ or images/
                 index,Figure_path,Caption,Question,Choice A,Choice B,Choice C,Choice D,Answer,split (Answer is the letter)

A record is one figure with its questions of one split, in version 2 with its caption. The answer is the choice that the
letter names, without its "A:"; `--choices 1` ends the question with all four choices, which makes it a closed one.
Validation is a twentieth of the training figures by a hash of the name.
"""

import dataclasses
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from data_pipelines.builder import Builder, option
from data_pipelines.native import attached, one_of, table, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix, share
from data_pipelines.questions import Asked, by_image
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Question

LETTERS = "ABCD"
CHOICES = tuple(f"Choice {letter}" for letter in LETTERS)
FILES = {
    "official": {"train": ("train.csv",), "test": ("test.csv",)},
    "clean": {"train": ("train.csv",), "test": ("test_clean.csv",)},
    "version-2": {"train": ("train_2.csv", "train2.csv"), "test": ("test_2.csv", "test2.csv")},
}
IMAGES = ("images", "figures")
IMAGES_2 = ("images_2", "images2", "figures_2", "figures", "images")
_LETTER = re.compile(r"^\s*[A-D]\s*[:.)]\s*")


@dataclasses.dataclass(frozen=True)
class PmcVqa(Builder):
    """PMC-VQA's tables and figures."""

    name, version, licence = "pmc_vqa", "1.0.0", "CC-BY-SA"
    protocols: ClassVar = {
        "official": Protocol(by_id_suffix, "version 1: train.csv and test.csv; 5 % of the training figures validate"),
        "clean": Protocol(by_id_suffix, "version 1, tested on test_clean.csv; 5 % of the training figures validate"),
        "version-2": Protocol(by_id_suffix, "version 2, figures of one part; 5 % of the training figures validate"),
    }

    choices: int = option(0, "1 ends each question with its choices")

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record a figure and split."""
        paths = {part: one_of(source, *names) for part, names in FILES[protocol].items()}
        names = IMAGES_2 if protocol == "version-2" else IMAGES
        folders = [source / name for name in names if (source / name).is_dir()]
        if not folders:
            raise wrong_layout(source, " or ".join(f"{name}/" for name in names))
        asked: list[Asked] = []
        captions: dict[str, str] = {}
        for part, path in paths.items():
            for i, row in enumerate(
                table(path, ("Figure_path", "Question", "Answer", *CHOICES), absent=("nan",)), start=1
            ):
                figure, where = row["Figure_path"], f"{path.name} row {i}"
                split = "validation" if part == "train" and share(figure) < 0.05 else part
                question = self._question(row)
                if isinstance(question, str):
                    yield SetAside(figure[:80], question, where)
                    continue
                asked.append(Asked(figure, split, question, where))
                captions[figure] = row.get("Caption", "")

        def fields(item: Asked) -> dict[str, Any]:
            return {"caption": captions[item.image], "source": f"pmc_vqa {item.where}", "licence": self.licence}

        yield from by_image(asked, lambda item: partial(attached, folders[0], item.image), fields)

    def _question(self, row: dict[str, str]) -> Question | str:
        """The question with its answer, or why there is none."""
        choices = {
            letter: _LETTER.sub("", row[column]).strip() for letter, column in zip(LETTERS, CHOICES, strict=True)
        }
        letter, answer = row.get("Answer_label", row["Answer"]), _LETTER.sub("", row["Answer"]).strip()
        if letter not in choices:
            return "the answer's letter is not A, B, C or D"
        if "Answer_label" in row and answer.lower() != choices[letter].lower():
            return "Answer is not the choice that Answer_label names"
        text = row["Question"]
        if self.choices and text:
            text += " " + " ".join(f"({letter}) {choice}" for letter, choice in choices.items())
        return Question(text, choices[letter], "closed" if self.choices else "open")


BUILDER = PmcVqa
