"""What every builder must make of damaged native files: one matrix for the data sets of captions, questions and texts.

Each test file describes a small sound layout and gets the matrix by `test_bad_input = bad_input(LAYOUT)`. Whatever is
damaged, `prepare` either raises a `UserError` that names the file, or counts and lists what it set aside there.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_pipelines.builder import Builder, folder_of, prepare
from data_pipelines.native import MISSING, OUTSIDE
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import SET_ASIDE
from unimedvlp.errors import UserError
from unimedvlp.records import Record


@dataclasses.dataclass(frozen=True)
class Form:
    """How the rows of a native file are read from text and written to it."""

    load: Callable[[str], list[dict]]
    dump: Callable[[list[dict]], str]


@dataclasses.dataclass(frozen=True)
class File:
    """A native file and its fields: one that must not be empty, ids, two that can be told apart, and a path.

    `called` is what a message calls the file where its name is free; `ascii` says that encodings cannot matter to it,
    `optional` that a folder without it is sound.
    """

    form: Form
    needs: str
    unique: str = ""
    swap: tuple[str, str] | None = None
    path: str = ""
    called: str = ""
    ascii: bool = False
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Layout:
    """A sound native folder: `write` makes it; every file of `files` and one image are damaged in turn."""

    builder: Builder
    protocol: str
    write: Callable[[Path], None]
    files: Mapping[str, File]
    image: str = ""


def _dump_csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def columns(delimiter: str, *names: str) -> Form:
    """Lines of cells without a header and without quotes."""
    return Form(
        lambda text: [dict(zip(names, line.split(delimiter), strict=True)) for line in text.splitlines()],
        lambda rows: "".join(delimiter.join(str(row[name]) for name in names) + "\n" for row in rows),
    )


CSV = Form(lambda text: list(csv.DictReader(io.StringIO(text))), _dump_csv)
JSON = Form(json.loads, lambda rows: json.dumps(rows, ensure_ascii=False, indent=1))
LINES = Form(
    lambda text: [json.loads(line) for line in text.splitlines()],
    lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
)


def save(path: Path, content: str | bytes) -> None:
    """Write a file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def jpeg(seed: int, size: int = 24) -> bytes:
    """A small picture of its own."""
    return cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8))[1].tobytes()


SECRET = jpeg(1234)


def everything(builder: Builder, source: Path, out: Path, protocol: str) -> dict[str, list[Record]]:
    """{split: records} of a prepared folder."""
    summary = prepare(builder, source, out, protocol)
    return {split: list(PreparedSplit(folder_of(builder, out, protocol), split)) for split in summary.splits}


def _same(a: dict[str, list[Record]], b: dict[str, list[Record]]) -> None:
    assert {split: len(records) for split, records in a.items()} == {
        split: len(records) for split, records in b.items()
    }
    for split, records in a.items():
        for one, other in zip(records, b[split], strict=True):
            for field in dataclasses.fields(Record):
                np.testing.assert_equal(getattr(one, field.name), getattr(other, field.name))


def _cut(text: str) -> str:
    """The text without the last three quarters of its last line, or of JSON without its last tenth."""
    if text.lstrip().startswith(("[", "{\n", '{"data"')):
        return text[: len(text) * 9 // 10]
    last = text.rstrip("\n").rfind("\n") + 1
    return text[: last + (len(text) - last) // 4]


def _edit(path: Path, form: Form, edit: Callable[[list[dict]], list[dict]]) -> None:
    path.write_text(form.dump(edit(form.load(path.read_text("utf-8")))), "utf-8")


def _damage(path: Path, file: File, kind: str) -> None:
    if kind == "missing":
        path.unlink()
    elif kind in ("empty", "binary"):
        path.write_bytes(b"" if kind == "empty" else bytes(range(256)) * 4)
    elif kind == "truncated":
        path.write_text(_cut(path.read_text("utf-8")), "utf-8")
    elif kind == "duplicate ids":
        _edit(path, file.form, lambda rows: [*rows, rows[-1]])
    elif kind == "NaN":
        absent = float("nan") if path.suffix in (".json", ".jsonl") else "NaN"
        _edit(path, file.form, lambda rows: [*rows[:-1], rows[-1] | {file.needs: absent}])
    elif kind == "swapped":
        a, b = file.swap
        _edit(path, file.form, lambda rows: [row | {a: row[b], b: row[a]} for row in rows])
    elif kind in ("outside", "absolute"):
        _edit(path, file.form, lambda rows: [*rows[:-1], rows[-1] | {file.path: _secret(path, rows, file, kind)}])


def _secret(path: Path, rows: list[dict], file: File, kind: str) -> str:
    """A path to the picture that lies above the source folder, with a suffix if the file's own paths have one."""
    top = next(folder for folder in path.parents if folder.name == "a")
    name = "../../../../../../secret" if kind == "outside" else str(top / "secret")
    return name + Path(rows[-1][file.path]).suffix


def _told(layout: Layout, source: Path, out: Path, name: str) -> str:
    """What `prepare` says of a damaged file: the one line of its error, or the lines of what it set aside there."""
    try:
        prepare(layout.builder, source, out, layout.protocol)
    except UserError as error:
        assert "\n" not in str(error)
        said = str(error)
    else:
        lines = (folder_of(layout.builder, out, layout.protocol) / SET_ASIDE).read_text().splitlines()[1:]
        assert lines, "it was passed over in silence"
        said = "\n".join(lines)
    called = (Path(name).stem, layout.files[name].called or name, "secret.jpg")  # or the file that a path names
    assert any(name in said for name in called), f"{name} is not named: {said}"
    return said


def bad_input(layout: Layout) -> Callable:
    """A test that damages the native files of a layout one by one in every way."""
    cases = [
        (name, kind)
        for name, file in layout.files.items()
        for kind, possible in {
            "missing": not file.optional, "empty": True, "binary": True, "truncated": True, "Latin-1": not file.ascii, "BOM and CRLF": True,
            "duplicate ids": file.unique, "NaN": True, "swapped": file.swap, "outside": file.path, "absolute": file.path,
        }.items()
        if possible
    ]  # fmt: skip
    images = ("missing", "empty", "cut", "text") if layout.image else ()
    cases += [(layout.image, f"image {kind}") for kind in images]

    @pytest.mark.parametrize(("name", "kind"), cases, ids=[f"{name}-{kind}" for name, kind in cases])
    def test(name, kind, tmp_path):
        source = tmp_path / "a" / "b" / "c" / "source"
        layout.write(source)
        for folder in list(source.parents)[:3]:
            save(folder / "secret.jpg", SECRET)
        path = source / name
        if kind.startswith("image"):
            data = path.read_bytes()
            path.unlink() if kind == "image missing" else path.write_bytes(
                {"empty": b"", "cut": data[: len(data) // 2], "text": b"<html>404"}[kind.removeprefix("image ")]
            )
            lines = prepare(layout.builder, source, tmp_path / "out", layout.protocol).set_aside
            assert sum(lines.values()) >= 1
            return
        if kind in ("Latin-1", "BOM and CRLF"):
            sound = everything(layout.builder, source, tmp_path / "sound", layout.protocol)
            text = path.read_text("utf-8")
            assert layout.files[name].ascii or "é" in text, "a layout needs a letter that tells encodings apart"
            path.write_bytes(
                text.encode("latin-1") if kind == "Latin-1" else text.replace("\n", "\r\n").encode("utf-8-sig")
            )
            _same(everything(layout.builder, source, tmp_path / "out", layout.protocol), sound)
            return
        _damage(path, layout.files[name], kind)
        said = _told(layout, source, tmp_path / "out", name)
        if kind in ("outside", "absolute"):
            assert OUTSIDE in said or (kind == "absolute" and MISSING in said)
            read = everything(layout.builder, source, tmp_path / "out", layout.protocol)
            assert not any(SECRET in record.images for records in read.values() for record in records)

    test.layout = layout
    return test
