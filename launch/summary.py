"""What a prepared data set holds, on the terminal: counts a split and field beside the expected ones, and what was set aside."""

import csv
from collections import defaultdict
from pathlib import Path

import rich
from rich.markup import escape
from rich.table import Table

from data_pipelines.summary import SET_ASIDE, Summary

COUNTED = ("records", "patients", "images", "questions", "boxes")
TOLD_ELSEWHERE = (
    "study_id",
    "patient_id",
    "images",
    "views",
    "modality",
    "source",
    "licence",
    "qa",
    "box_classes",
    "mask_classes",
)


def summary(folder: Path) -> Summary:
    """Print the summary that `prepare` left in a prepared folder, and return it."""
    found = Summary.load(folder)
    print(f"{found.name} {found.version}, protocol {found.protocol}: {found.about}. {found.licence}")
    rich.print(_counts(found))
    if found.leaks:
        print(f"warning: this split shares patients or images: {found.leaks}")
    elif found.shared_images:
        print(f"warning: {found.shared_images} images are in more than one split, byte for byte")
    if found.not_in_protocol:
        print(f"{found.not_in_protocol:,} records are no part of the protocol")
    if found.set_aside:
        examples = _examples(folder)
        aside = Table("set aside", "count", "for example")
        for reason, count in found.set_aside.items():
            aside.add_row(escape(reason), f"{count:,}", escape(examples[reason]))
        rich.print(aside)
        print(f"all of them: {folder / SET_ASIDE}")
    return found


def _counts(found: Summary) -> Table:
    """A column a split; a row for each count, one for the expected counts, and one for each field that some record has."""
    table = Table("")
    for split in found.splits:
        table.add_column(split, justify="right")
    for key in COUNTED:
        table.add_row(key, *(f"{split[key]:,}" for split in found.splits.values()))
        if key == found.counted and found.expected:
            cells = (_expected(found, split, counts[key]) for split, counts in found.splits.items())
            table.add_row(f"  expected {key}", *cells, style="dim")
    table.add_section()
    fields = {field for split in found.splits.values() for field in split["fields"]}
    for field in sorted(fields.difference(TOLD_ELSEWHERE)):
        table.add_row(f"with {field}", *(f"{split['fields'].get(field, 0):,}" for split in found.splits.values()))
    return table


def _expected(found: Summary, split: str, count: int) -> str:
    expected = found.expected.get(split)
    return "" if expected is None else f"{expected:,}" + ("" if expected == count else " differs")


def _examples(folder: Path) -> dict[str, str]:
    """{reason: the first study and file that it befell}"""
    found: dict[str, str] = defaultdict(str)
    with (folder / SET_ASIDE).open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["reason"], f"{row['study_id']} {row['where']}".strip())
    return found
