"""Tables of a user's own, as CSV, TSV, JSON or JSON lines: which file is which split, and which column is which field."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from data_pipelines.builder import Builder, option
from data_pipelines.native import (
    inside,
    json_lines,
    objects,
    plain,
    read_json,
    read_text,
    split_name,
    table,
    wrong_layout,
)
from data_pipelines.pictures import Picture, read_picture
from data_pipelines.protocols import Protocol, by_id_suffix, by_patient
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import MODALITIES

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl")
ROW: Mapping[str, Sequence[str]] = {  # field of a row: usual names of its column
    "id": ("id", "study_id", "uid", "qid"),
    "patient": ("patient", "patient_id", "subject_id"),
    "split": ("split", "phase"),
}
FOLDERS = (".", "images", "imgs")
IMAGE = ("image", "image_path", "image_name", "img_name", "filepath", "path", "filename", "file_name", "figure_file")
IMAGE_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".dcm")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: its id, patient and split ("" where the table names none), and the text of each field that it has."""

    id: str
    patient: str
    split: str
    fields: Mapping[str, str]
    where: str


@dataclasses.dataclass(frozen=True)
class OwnTable(Builder):
    """A user's own table. `given` takes the splits as a column or files name them, `by-patient` makes them.

    A subclass says with `known` which fields it reads and what their columns are usually called; `needs` must be there.
    """

    version, licence = "1.0.0", "not stated"
    protocols: ClassVar = {
        "given": Protocol(by_id_suffix, "as a column or the files name them: train, val or test"),
        "by-patient": Protocol(
            by_patient(0), "80/10/10 by a hash of the patient, or of the row where no column names one"
        ),
    }
    known: ClassVar[Mapping[str, Sequence[str]]]
    needs: ClassVar[Sequence[str]] = ()

    file: str = option("", "the table to read, relative to SOURCE, where there are several")
    columns: str = option("", "which column is which field, as FIELD=COLUMN,FIELD=COLUMN")
    modality: str = option("other", f"modality of all images: {', '.join(MODALITIES)}")
    body_part: str = option("", "body part in all images, such as chest")

    def __post_init__(self):
        if self.modality not in MODALITIES:
            raise UserError(f"--modality {self.modality!r} is not one of {', '.join(MODALITIES)}")

    def rows(self, source: Path, protocol: str, also: Sequence[str] = ()) -> Iterator[Row | SetAside]:
        """The rows of all tables; `also` are columns that must be there and are kept under their own names.

        Raises UserError where no table, no needed column or, for `given`, no split is found.
        """
        for path, named in _files(source, self.file):
            rows = _read(path)
            found = list(dict.fromkeys(name for row in rows for name in row))
            places = self._places(path, found) | {name: name for name in also}
            if missing := [name for name in also if name not in found]:
                raise UserError(f"{path}: no column {', '.join(missing)}; found {', '.join(found)}")
            if protocol == "given" and not named and "split" not in places:
                raise UserError(
                    f"{path}: nothing says the split; name files train, val or test, name the column with --columns "
                    "split=COLUMN, or add --protocol by-patient"
                )
            for i, row in enumerate(rows, start=1):
                where = f"{path.name} row {i}"
                fields = {field: row.get(column, "") for field, column in places.items()}
                name = fields.pop("id", "") or f"{path.name.partition('.')[0]}-{i}"
                name = f"{named}-{name}" if named and protocol != "given" else name
                patient, said = fields.pop("patient", ""), fields.pop("split", "")
                split = split_name(said) if said else named
                if protocol == "given" and not split:
                    yield SetAside(name[:80], "the split is not train, val or test", f"{where}: {said[:40]!r}")
                else:
                    yield Row(name, patient, split, {key: text for key, text in fields.items() if text}, where)

    def study_id(self, name: str, split: str, protocol: str) -> str:
        """The id of a record: NAME, or NAME/SPLIT where the split is given."""
        return f"{name[:120]}/{split}" if protocol == "given" else name[:120]

    def common(self, where: str) -> dict[str, Any]:
        """Fields that all records share."""
        return {
            "modality": self.modality,
            "body_part": self.body_part,
            "source": f"{self.name} {where}",
            "licence": self.licence,
        }

    def _places(self, path: Path, found: Sequence[str]) -> dict[str, str]:
        """{field: its column} among those that the table has."""
        known = ROW | self.known
        places: dict[str, str] = {}
        for pair in filter(None, self.columns.split(",")):
            field, _, column = (part.strip() for part in pair.partition("="))
            if field not in known or column not in found:
                wrong = f"field {field!r}; known: {', '.join(known)}" if field not in known else f"column {column!r}"
                raise UserError(f"{path}: --columns {pair!r}: no {wrong}; found columns {', '.join(found)}")
            places[field] = column
        lower = {column.lower(): column for column in reversed(found)}
        for field, names in known.items():
            usual = [lower[name.lower()] for name in names if name.lower() in lower]
            if field not in places and usual and usual[0] not in places.values():
                places[field] = usual[0]
        for field in self.needs:
            if field not in places:
                raise UserError(
                    f"{path}: no column for {field}, usually {', '.join(known[field])}; found {', '.join(found) or 'no row'}; "
                    f"name it with --columns {field}=COLUMN"
                )
        return places


def find_picture(source: Path, folder: str, name: str, study_id: str) -> Picture | SetAside:
    """The image called `name`, with or without its suffix, in `folder` of `source`, or in the usual ones if that is ""."""
    folders = (folder,) if folder else FOLDERS
    for place in folders:
        for suffix in IMAGE_SUFFIXES:
            path, _ = inside(source, os.path.join(place, name + suffix)) if name else (None, "")
            if path is not None:
                return read_picture(path.parent, path.name, study_id)
    return read_picture(source, os.path.join(folders[0], name) if name else "", study_id)


def _files(source: Path, chosen: str) -> list[tuple[Path, str]]:
    """The tables to read with the splits that their names say ("" if none)."""
    if chosen:
        path, _ = inside(source, chosen)
        if path is None:
            raise wrong_layout(source, chosen)
        return [(path, _split_of(path))]
    paths = [
        path
        for path in sorted(source.iterdir())
        if path.is_file() and Path(path.name.removesuffix(".gz")).suffix.lower() in SUFFIXES
    ]
    named = [(path, _split_of(path)) for path in paths if _split_of(path)]
    if named or len(paths) == 1:
        return named or [(paths[0], "")]
    if not paths:
        raise wrong_layout(source, f"a table ({', '.join(SUFFIXES)})")
    names = ", ".join(path.name for path in paths[:6])
    raise UserError(f"{source}: several tables ({names}); name one with --file, or name them train, val and test")


def _split_of(path: Path) -> str:
    return split_name(path.name.partition(".")[0].lower().removesuffix("set"))


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a table of any kind, every cell as text."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".jsonl":
        rows = list(json_lines(path, ()))
    elif suffix == ".json":
        content = read_json(path)
        lists = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else []
        rows = objects(lists[0] if len(lists) == 1 else content, (), str(path))
    else:
        header = read_text(path).partition("\n")[0]
        return list(table(path, (), max(",\t;|", key=header.count), absent=("nan",)))
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]
