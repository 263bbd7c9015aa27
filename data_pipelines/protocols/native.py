"""Splits that the native files decide: folders, lists of ids beside them, draws from all ids."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from data_pipelines.native import read_text, split_name, wrong_layout
from data_pipelines.protocols import Lists, Protocol, Rule, share
from unimedvlp.errors import UserError
from unimedvlp.records import Record

LIST_FILES = {
    "train": ("train.txt", "train_list.txt"),
    "validation": ("val.txt", "val_list.txt", "valid.txt", "validation.txt"),
    "test": ("test.txt", "test_list.txt"),
}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


def by_folder(held_out: float = 0.0, seed: int = 0, **places: str) -> Rule:
    """The split that the first folder in `study_id` with such a name names (train, val, dev, test, ... or as `places` says).

    `held_out` is the share of training patients that validates instead, by a hash of the patient.
    """

    def rule(record: Record) -> str | None:
        folders = record.study_id.split("/")[:-1]
        split = next(filter(None, (places.get(folder) or split_name(folder) for folder in folders)), "")
        held = split == "train" and share(record.patient, seed) < held_out
        return "validation" if held else split or None

    return rule


def stem(name: str) -> str:
    """`stage_2_train_images/ID.dcm` -> `ID`"""
    return without_suffix(PurePosixPath(name).name)


def without_suffix(name: str) -> str:
    """The name without the suffix of an image or DICOM file; other dots belong to it."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _SUFFIXES else name


def listed(path: Path, key: Callable[[str], str] = stem) -> list[str]:
    """The study ids of a text file: the first word of each line, through `key`."""
    ids = [key(words[0]) for line in read_text(path).splitlines() if (words := line.replace(",", " ").split())]
    if not ids:
        raise UserError(f"{path} is empty; expected a name a line")
    return ids


def own_lists(key: Callable[[str], str] = stem) -> Protocol:
    """A protocol that takes the lists that a user puts into SOURCE/splits, in the form in which papers publish theirs."""

    def lists(source: Path) -> Lists:
        folder = source / "splits"
        found = {
            split: folder / name
            for split, names in LIST_FILES.items()
            for name in reversed(names)
            if (folder / name).is_file()
        }
        if "train" not in found:
            raise wrong_layout(
                folder if folder.is_dir() else source, "splits/train.txt, and val.txt, test.txt beside it"
            )
        return {split: listed(path, key) for split, path in found.items()}

    return Protocol(None, "your lists: SOURCE/splits/train.txt, val.txt and test.txt, a name a line", lists=lists)


def drawn(ids: Sequence[str], held_out: float | int, seed: int) -> Lists:
    """GLoRIA's draw: scikit-learn's train_test_split holds `held_out` back, whose halves are test and validation."""
    from sklearn.model_selection import train_test_split

    ids = sorted(set(ids))
    if len(ids) <= max(held_out, 3):
        raise UserError(f"this split needs more than {max(held_out, 3)} studies; the table lists {len(ids)}")
    train, rest = train_test_split(ids, test_size=held_out, random_state=seed)
    test, validation = train_test_split(rest, test_size=0.5, random_state=seed)
    return {"train": train, "validation": validation, "test": test}
