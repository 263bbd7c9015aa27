"""VQA-Med 2019 (ImageCLEF): modality, plane, organ and abnormality of radiological images (Ben Abacha et al. 2019).

Source: https://github.com/abachaa/VQA-Med-2019 and https://zenodo.org/records/10499039; 3,200 training, 500 validation and
500 test images with 12,792, 2,000 and 500 questions. Two layouts are read:

    ImageCLEF    ImageClef-2019-VQA-Med-Training/QAPairsByCategory/C{1_Modality,2_Plane,3_Organ,4_Abnormality}_train.txt
                 ImageClef-2019-VQA-Med-Training/Train_images/*.jpg
                 ImageClef-2019-VQA-Med-Validation/... with _val.txt and Val_images
                 VQAMed2019Test/VQAMed2019_Test_Questions_w_Ref_Answers.txt, VQAMed2019Test/VQAMed2019_Test_Images/*.jpg
    by split     {train,val,test}/QA/{Modality,Plane,Organ,Abnormality}.csv, {train,val,test}/images/*.jpg

Lines are image|question|answer, in ImageCLEF's test file image|category|question|answer. A record is one image.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.native import attached, numbered_lines, plain, wrong_layout
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.questions import Asked, by_image, kind_of
from data_pipelines.summary import SetAside
from data_pipelines.work import Item
from unimedvlp.records import Question

TOPICS = ("Modality", "Plane", "Organ", "Abnormality")
FOLDERS = {"train": "ImageClef-2019-VQA-Med-Training", "validation": "ImageClef-2019-VQA-Med-Validation"}
TEST = "VQAMed2019Test"
SHORT = {"train": "train", "validation": "val", "test": "test"}


class VqaMed2019(Builder):
    """VQA-Med 2019 in either layout."""

    name, version, licence = "vqa_med_2019", "1.0.0", "see https://zenodo.org/records/10499039"
    protocols: ClassVar = {
        "official": Protocol(
            by_id_suffix,
            "the published training, validation and test questions of all four categories",
            expected={"train": 12792, "validation": 2000, "test": 500},
            counted="questions",
        ),
        "three-categories": Protocol(
            by_id_suffix,
            "the published questions about modality, plane and organ, as M3AE and PTUnifier take them",
            expected={"test": 375},
            counted="questions",
        ),
    }  # fmt: skip

    def records(self, source: Path, protocol: str) -> Iterator[Item]:
        """One record an image and split."""
        topics = TOPICS if protocol == "official" else TOPICS[:3]
        files, folders = _by_split(source, topics) if (source / "train").is_dir() else _image_clef(source, topics)
        for split, folder in folders.items():
            if not folder.is_dir():
                raise wrong_layout(source, f"{folder.relative_to(source)}/")
            asked: list[Asked] = []
            for path, topic in files[split]:
                if not path.is_file():
                    raise wrong_layout(source, str(path.relative_to(source)))
                for item in _questions(path, topic, split):
                    if isinstance(item, SetAside):
                        yield item
                    elif item.question.topic in map(str.lower, topics):
                        asked.append(item)
            yield from by_image(
                asked,
                lambda item, folder=folder: partial(attached, folder, f"{item.image}.jpg"),
                lambda item: {"source": f"vqa_med_2019 {item.where}", "licence": self.licence},
            )


def _by_split(source: Path, topics: tuple[str, ...]) -> tuple[dict, dict]:
    """({split: [(file, topic)]}, {split: folder of images})"""
    files = {
        split: [(source / name / "QA" / f"{topic}.csv", topic) for topic in topics] for split, name in SHORT.items()
    }
    return files, {split: source / name / "images" for split, name in SHORT.items()}


def _image_clef(source: Path, topics: tuple[str, ...]) -> tuple[dict, dict]:
    files, folders = {}, {}
    for split, name in FOLDERS.items():
        short, root = SHORT[split], source / name
        files[split] = [
            (root / "QAPairsByCategory" / f"C{TOPICS.index(topic) + 1}_{topic}_{short}.txt", topic) for topic in topics
        ]
        folders[split] = root / f"{short.capitalize()}_images"
    files["test"] = [(source / TEST / "VQAMed2019_Test_Questions_w_Ref_Answers.txt", "")]
    folders["test"] = source / TEST / "VQAMed2019_Test_Images"
    return files, folders


def _questions(path: Path, topic: str, split: str) -> Iterator[Asked | SetAside]:
    """The questions of a file; where `topic` is "" each line names its own."""
    cells = 3 if topic else 4
    for i, line in numbered_lines(path):
        row, where = [plain(cell) for cell in line.split("|")], f"{path.name} line {i}"
        if i == 1 and row[0].lower() == "image":
            continue
        if len(row) < cells:
            yield SetAside(row[0][:40], f"fewer than {cells} cells between bars", where)
            continue
        image, own = row[0].removesuffix(".jpg"), topic or row[1]
        question, answer = row[cells - 2], "|".join(row[cells - 1 :])
        yield Asked(image[:80], split, Question(question, answer, kind_of(answer), own.lower()), where)


BUILDER = VqaMed2019
