"""Reading what owners ship: tables in any of the usual encodings, JSON lists, folders of images. Errors name file and field."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from unimedvlp.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_ABSENT = ("nan", "null", "none", "n/a")


def wrong_layout(source: Path, expected: str) -> UserError:
    """The error for a folder that is not laid out as its owner ships it: what was expected and what is there."""
    found = sorted(path.name + "/" * path.is_dir() for path in source.iterdir())
    shown = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    return UserError(f"{source}: expected {expected}; found {shown or 'an empty folder'}")


def table(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV as {column: text} with at least `columns`, read by name in whatever order they come.

    UTF-8 with or without BOM, else Latin-1; any line ends. Cells are stripped; absent and "NaN" cells are "".
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    found = [name.strip() for name in reader.fieldnames or ()]
    if missing := [name for name in columns if name not in found]:
        raise UserError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(columns)}; found {', '.join(found)}"
        )
    reader.fieldnames = found
    for row in reader:
        yield {name: _cell(row[name]) for name in found}


def json_list(path: Path, fields: Sequence[str]) -> list[dict]:
    """A JSON list of objects that each have `fields`."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of objects, found {type(rows).__name__}")
    for i, row in enumerate(rows):
        if missing := [name for name in fields if not isinstance(row, dict) or name not in row]:
            raise UserError(f"{path}: item {i} has no {', '.join(missing)}; expected {', '.join(fields)}")
    return rows


def image_index(folders: Sequence[Path]) -> dict[str, Path]:
    """{file name without its image suffix: path} over the PNG and JPEG files directly in those of `folders` that exist."""
    index: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                index.setdefault(path.stem, path)
    return index


def _cell(value: str | None) -> str:
    text = (value or "").strip()
    return "" if text.lower() in _ABSENT else text
