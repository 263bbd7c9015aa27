"""Checks of prepared data sets: counts, duplicates, images, boxes, masks, texts and the sides of a split.

validation = validate(Path("data/iu_xray/r2gen/1.0.0"))
validation.errors                 # what makes it unfit for use
validation.as_dict()              # everything, as plain values
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow_datasets as tfds

from data_pipelines.protocols import SPLITS
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import FILE, Summary
from data_pipelines.validate.checks import TextChecks, check_boxes, check_images, check_masks, check_record
from data_pipelines.validate.contents import Contents
from data_pipelines.validate.duplicates import Duplicates, Group, Place
from data_pipelines.validate.gallery import Gallery
from data_pipelines.validate.pictures import Look, Stencil, look, stencil
from data_pipelines.validate.problems import Problem, Problems
from data_pipelines.validate.sides import Sides
from unimedvlp.errors import UserError
from unimedvlp.records import Record

AT_ONCE = 64  # records held in memory
Progress = Callable[..., Iterable]  # progress(items, what, total)


@dataclasses.dataclass(frozen=True)
class Validation:
    """What a prepared folder holds and what is wrong with it. `shown` are records (split, index) that have every field."""

    folder: Path
    name: str
    summary: Summary | None
    contents: dict[str, Contents]
    problems: list[Problem]
    duplicates: list[Group]
    shown: list[tuple[str, int]]

    @property
    def errors(self) -> int:
        """How many kinds of problems are errors."""
        return sum(problem.level == "error" for problem in self.problems)

    def as_dict(self) -> dict:
        """Everything but the samples as plain values, for --json."""
        return {
            "folder": str(self.folder),
            "name": self.name,
            "errors": self.errors,
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "splits": {split: contents.as_dict() for split, contents in self.contents.items()},
            "duplicates": [dataclasses.asdict(group) for group in self.duplicates],
        }


def prepared_folders(folder: Path) -> list[Path]:
    """The prepared data sets in a folder: itself, or all below it. UserError if there is none."""
    found = sorted(path.parent for path in Path(folder).rglob("dataset_info.json"))
    if not found:
        raise UserError(
            f"{folder} holds no prepared data set: no dataset_info.json, as `prepare` writes it, is below it"
        )
    return [path for path in found if not path.name.startswith("incomplete.")]


def _quiet(items: Iterable, what: str = "", total: int = 0) -> Iterable:
    return items


def validate(folder: Path, progress: Progress = _quiet) -> Validation:
    """Read every record of a prepared folder and check it. UserError for a folder or shard that cannot be read."""
    folder = Path(folder)
    summary = Summary.load(folder) if (folder / FILE).is_file() else None
    name, splits = _splits(folder)
    problems, duplicates, gallery = Problems(), Duplicates(), Gallery()
    sides, words = Sides(problems, summary.leaks if summary else ""), TextChecks(problems)
    contents = {split: Contents() for split in splits}
    for split in splits:
        source = PreparedSplit(folder, split)
        for index, (record, looks, masks) in enumerate(progress(_looked_at(source), f"{name} {split}", len(source))):
            contents[split].add(record)
            check_record(problems, split, record)
            check_images(problems, split, record, looks)
            check_boxes(problems, split, record, looks[0] if looks else None)
            check_masks(problems, split, record, masks, looks)
            words.add(split, record)
            sides.add(split, record)
            gallery.add(split, index, record)
            for view, seen in enumerate(looks):
                if not seen.fault:
                    contents[split].sizes[f"{seen.height} x {seen.width}"] += 1
                    duplicates.add(Place(split, index, view, record.study_id), seen)
    groups = duplicates.groups(lambda blocks: progress(blocks, f"{name} comparing images", len(blocks)))
    sides.close(groups)
    words.close()
    _check_counts(problems, summary, contents)
    return Validation(folder, name, summary, contents, problems.sorted(), groups, gallery.chosen())


def _splits(folder: Path) -> tuple[str, list[str]]:
    if not (folder / "dataset_info.json").is_file():
        raise UserError(f"{folder} is no prepared data set: it has no dataset_info.json")
    info = tfds.builder_from_directory(folder).info
    if "study_id" not in (info.features or ()):
        raise UserError(f"{folder} holds {info.full_name} of TFDS, which `prepare` did not write: it has no study_id")
    return info.full_name, sorted(
        info.splits, key=lambda split: SPLITS.index(split) if split in SPLITS else len(SPLITS)
    )


def _looked_at(source: PreparedSplit) -> Iterator[tuple[Record, list[Look], list[Stencil]]]:
    """Every record with its decoded images and masks, in order; decoding runs in threads."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(source), AT_ONCE):
            records = source.__getitems__(range(start, min(start + AT_ONCE, len(source))))
            looks = [pool.map(look, record.images) for record in records]
            masks = [pool.map(stencil, record.masks) for record in records]
            for record, seen, cut in zip(records, looks, masks, strict=True):
                yield record, list(seen), list(cut)


def _check_counts(found: Problems, summary: Summary | None, contents: dict[str, Contents]) -> None:
    """Counts against those that `prepare` wrote down, and against those that the protocol should give."""
    if summary is None:
        found.add("note", f"no {FILE}: counts cannot be compared")
        return
    for split in dict.fromkeys([*summary.splits, *contents]):
        written = summary.splits.get(split, {})
        for key in ("records", "images", "questions", "boxes"):
            count, there = written.get(key, 0), getattr(contents.get(split), key, 0)
            if count != there:
                found.add("error", f"{there:,} {key}, prepare wrote {count:,}", split, key)
    if summary.limit is not None:
        found.add("note", f"made with --limit {summary.limit}: expected counts not compared")
        return
    for split, expected in summary.expected.items():
        there = getattr(contents.get(split), summary.counted, 0)
        if there != expected:
            message = f"{there:,} {summary.counted}, the protocol should give {expected:,}"
            found.add("warning", message, split, summary.counted)
