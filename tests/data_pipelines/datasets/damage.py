"""One matrix of bad input for every data set: each damage leaves the same records, sets something aside by name, or is a
UserError that names the file."""

import csv
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

from data_pipelines import datasets
from data_pipelines.builder import folder_of, prepare
from data_pipelines.summary import SET_ASIDE, Summary
from unimedvlp.errors import UserError


@dataclasses.dataclass(frozen=True)
class Native:
    """A data set with a maker of its native folder, the text files and the image in it that get damaged."""

    name: str
    make: Callable[[Path], Path]
    protocol: str = ""
    tables: tuple[str, ...] = ()
    image: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def prepare(self, source: Path, out: Path) -> tuple[Summary, str]:
        """The summary and the list of what was set aside."""
        builder = datasets.builder(self.name)(**dict(self.options))
        summary = prepare(builder, source, out, self.protocol, overwrite=True)
        folder = folder_of(builder, out, summary.protocol)
        return summary, (folder / SET_ASIDE).read_text()


def missing(path: Path) -> None:
    """Remove the file."""
    path.unlink()


def empty(path: Path) -> None:
    """Nothing left in it."""
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    """Cut off in the middle of its last line, or of the file if it has only one."""
    data = path.read_bytes().rstrip()
    start = data.rfind(b"\n") + 1 or len(data) // 4
    path.write_bytes(data[: start + max(1, (len(data) - start) // 4)])


def binary(path: Path) -> None:
    """Something else altogether."""
    path.write_bytes(bytes(range(256)) * 8)


def bom(path: Path) -> None:
    """A byte order mark, as spreadsheets write it."""
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def crlf(path: Path) -> None:
    """Line ends of Windows."""
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def repeated(path: Path) -> None:
    """The last line twice."""
    data = path.read_bytes().rstrip(b"\n")
    path.write_bytes(data + b"\n" + data[data.rfind(b"\n") + 1 :] + b"\n")


def reordered(path: Path) -> None:
    """The columns in the reverse order, heads and cells alike."""
    rows = list(csv.reader(io.StringIO(path.read_text())))
    width = max(map(len, rows))
    _write(path, [(row + [""] * (width - len(row)))[::-1] for row in rows])


def swapped(path: Path, first: int, second: int) -> None:
    """The heads of two columns exchanged, but not their cells."""
    rows = list(csv.reader(io.StringIO(path.read_text())))
    rows[0][first], rows[0][second] = rows[0][second], rows[0][first]
    _write(path, rows)


def cell(path: Path, column: int, value: str) -> None:
    """One cell of the first row replaced."""
    rows = list(csv.reader(io.StringIO(path.read_text())))
    rows[1][column] = value
    _write(path, rows)


def accounted(native: Native, clean: tuple[Summary, str], source: Path, out: Path, names: tuple[str, ...]) -> str:
    """What became of it: "same", "counted", or the message of a UserError.

    Fails if records are gone that are neither set aside nor counted as no part of the protocol, if no new line of the
    set-aside list has one of `names`, and if an error has none of them.
    """
    try:
        summary, listed = native.prepare(source, out)
    except UserError as error:
        assert "\n" not in str(error) and any(name in str(error) for name in names), str(error)
        return str(error)
    before, after = clean[0], summary
    if (after.checksum, after.set_aside) == (before.checksum, before.set_aside):
        return "same"
    lost = _records(before) - _records(after)
    outside = after.not_in_protocol - before.not_in_protocol
    known = clean[1].splitlines()
    new = [line for line in listed.splitlines() if line not in known or listed.count(line) > known.count(line)]
    assert lost <= outside + len(new), f"{lost} records gone, {outside} not in the protocol, set aside: {new}"
    if lost and not outside:
        assert any(name in line for line in new for name in names), (new, names)
    return "counted"


def _records(summary: Summary) -> int:
    return sum(split["records"] for split in summary.splits.values())


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
