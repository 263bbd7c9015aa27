"""Reading what owners ship: tables in any of the usual encodings, JSON, folders of images. Errors name file and field."""

import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unimedvlp.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
MISSING, OUTSIDE = "image file missing", "path leads outside the source folder"
ABSENT = ("nan", "null", "none", "n/a")
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "validate", "dev", "development"),
    "test": ("test", "testing"),
}


def wrong_layout(source: Path, expected: str) -> UserError:
    """The error for a folder that is not laid out as its owner ships it: what was expected and what is there."""
    found = sorted(path.name + "/" * path.is_dir() for path in source.iterdir())
    shown = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    return UserError(f"{source}: expected {expected}; found {shown or 'an empty folder'}")


def root_of(source: Path, *names: str) -> Path:
    """The folder that holds one of these files or folders: `source` or one up to two levels below, as archives unpack."""
    for folder in (source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))):
        if any((folder / name).exists() for name in names):
            return folder
    raise wrong_layout(source, " or ".join(names))


def one_of(source: Path, *names: str) -> Path:
    """The first of these files, each also as NAME.gz, that `source` holds; UserError if it holds none."""
    for name in names:
        for path in (source / name, source / f"{name}.gz"):
            if path.is_file():
                return path
    raise wrong_layout(source, " or ".join(names))


def split_name(text: str) -> str:
    """train, validation or test for any of their usual names in any case; "" for anything else."""
    return next((split for split, names in _SPLITS.items() if text.strip().lower() in names), "")


def read_text(path: Path) -> str:
    """A text file, gzipped or not: UTF-8 with or without BOM, UTF-16 with BOM; lines that are neither are Windows-1252.

    Raises UserError naming a file that cannot be read or is cut off.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "".join(map(_decode, data.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)))


def table(
    path: Path,
    columns: Sequence[str],
    delimiter: str = ",",
    header: Sequence[str] = (),
    absent: Sequence[str] = ABSENT,
) -> Iterator[dict[str, str]]:
    """The rows of a table as {column: text} with at least `columns`, read by name in whatever order they come.

    Encodings are those of `read_text`; any line ends. Cells are stripped; missing ones and those that only say `absent` are
    "". `header` names the columns of a file without a header line. Cells may be quoted, except between bars. Raises
    UserError naming the line for a row that ends before one of `columns`, for one with more cells than the header and for a
    quote that is never closed.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    quoting = csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        found = [name.strip() for name in (header or next(reader, ()))]
        if missing := [name for name in columns if name not in found]:
            raise UserError(
                f"{path}: no column {', '.join(missing)}; expected {', '.join(columns)}; "
                f"found {', '.join(found) or 'an empty file'}"
            )
        if twice := [name for name in columns if found.count(name) > 1]:
            raise UserError(f"{path}: column {', '.join(twice)} occurs more than once")
        needed, empty = 1 + max(map(found.index, columns), default=0), True
        for row in reader:
            if any(row) and len(row) < needed:
                raise UserError(f"{path}: line {reader.line_num} ends too early; the file may be cut off")
            if any(cell.strip() for cell in row[len(found) :]):
                raise UserError(
                    f"{path}: line {reader.line_num} has {len(row)} cells for {len(found)} columns; "
                    f"a cell that holds {delimiter!r} must be quoted"
                )
            if any(row):
                empty = False
                row += [""] * (len(found) - len(row))
                yield {name: plain(value, absent) for name, value in zip(found, row, strict=False)}
        if empty:
            raise UserError(f"{path} has no row below its header")
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: {error}; the file may be cut off") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file in any of the usual encodings."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def json_list(path: Path, fields: Sequence[str]) -> list[dict]:
    """A JSON list of objects, at least one, that each have `fields`."""
    rows = objects(read_json(path), fields, str(path))
    if not rows:
        raise UserError(f"{path} is an empty list")
    return rows


def json_lines(path: Path, fields: Sequence[str]) -> Iterator[dict]:
    """The objects of a file with one JSON object a line, at least one, each with `fields`; blank lines are skipped."""
    for i, line in numbered_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}: line {i} is not JSON: {error}") from None
        require(row, fields, f"{path}: line {i}")
        yield row


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1; UserError if there are none."""
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise UserError(f"{path} is empty")
    return found


def plain(value: object, absent: Sequence[str] = ("nan",)) -> str:
    """A cell or JSON value as stripped text; "" for null, NaN and what only says `absent` in any case."""
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in absent else text


def inside(folder: Path, name: str) -> tuple[Path | None, str]:
    """The path of file `name` in `folder`, or None and why there is none: it is missing or its path leads outside.

    Links count as what they are called, so a folder may be put together from links.
    """
    root = os.path.abspath(folder)
    path = os.path.abspath(os.path.join(root, name.replace("\\", "/")))
    if not path.startswith(os.path.join(root, "")):
        return None, OUTSIDE if name else MISSING
    return (Path(path), "") if os.path.isfile(path) else (None, MISSING)


def attached(folder: Path, name: str) -> tuple[bytes, str]:
    """The bytes of file `name` in `folder`, or b"" and why it cannot be had, as `inside` says it."""
    path, fault = inside(folder, name)
    if path is None:
        return b"", fault
    try:
        return path.read_bytes(), ""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def image_index(folders: Sequence[Path]) -> dict[str, Path]:
    """{file name without its image suffix: path} over the PNG and JPEG files directly in those of `folders` that exist."""
    index: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                index.setdefault(path.stem, path)
    return index


def image_tree(source: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, str]:
    """{file name without its suffix: path within `source`} over all files below it with one of `suffixes`; the first counts."""
    index: dict[str, str] = {}
    for folder, folders, files in os.walk(source, followlinks=True):
        folders.sort()
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in suffixes:
                index.setdefault(stem, Path(folder, name).relative_to(source).as_posix())
    return index


def objects(value: Any, fields: Sequence[str], where: str) -> list[dict]:
    """A JSON value that must be a list of objects with `fields`; UserError naming `where` if it is not."""
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list of objects, found {type(value).__name__}")
    for i, row in enumerate(value):
        require(row, fields, f"{where}: item {i}")
    return value


def require(row: Any, fields: Sequence[str], where: str) -> None:
    """UserError naming `where` unless `row` is an object with all of `fields`."""
    if missing := [name for name in fields if not isinstance(row, dict) or name not in row]:
        raise UserError(f"{where} has no {', '.join(missing)}; expected {', '.join(fields)}")


def _decode(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")
