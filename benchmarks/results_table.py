"""Rows of results in a CSV file that grows run by run."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unimedvlp.errors import UserError


def rows(path: Path) -> list[dict[str, str]]:
    """All rows; none if there is no file yet."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Add a row under the given columns. UserError where the file has others or the row names one that is not there."""
    if unknown := set(row) - set(columns):
        raise UserError(f"{path}: no columns {sorted(unknown)}; there are {', '.join(columns)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.write_text(",".join(columns) + "\n")
    with path.open(newline="") as file:
        if (found := next(csv.reader(file))) != list(columns):
            raise UserError(f"{path} has the columns {', '.join(found)}; move it away, the new ones differ")
    with path.open("a", newline="") as file:
        csv.DictWriter(file, columns, lineterminator="\n").writerow(row)
