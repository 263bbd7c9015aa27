"""What a prepared data set holds: counts a split, what was set aside and why, and the checksum of its splits."""

import csv
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_pipelines.protocols import SPLITS, checksum
from unimedvlp.errors import UserError
from unimedvlp.records import Record

FILE, SET_ASIDE = "summary.json", "set_aside.csv"


@dataclasses.dataclass(frozen=True)
class SetAside:
    """A study, or a part of one such as a view or a question, that is left out; `where` names the file or row."""

    study_id: str
    reason: str
    where: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A sound record as its shard stores it (`data`), and what the summary wants to know of it."""

    split: str
    study_id: str
    patient: str
    source: str
    counts: Mapping[str, int]
    fields: tuple[str, ...]  # those that are not empty
    images: tuple[str, ...]  # a digest of each
    data: bytes = b""

    @classmethod
    def of(cls, split: str, record: Record, data: bytes) -> "Entry":
        """The entry of a record."""
        return cls(
            split, record.study_id, record.patient, record.source,
            {"images": len(record.images), "questions": len(record.qa), "boxes": len(record.boxes)},
            tuple(field.name for field in dataclasses.fields(record) if len(getattr(record, field.name))),
            tuple(hashlib.blake2b(image, digest_size=12).hexdigest() for image in record.images),
            data,
        )  # fmt: skip


Outcome = Entry | SetAside | None  # None: no part of the protocol


@dataclasses.dataclass
class Summary:
    """The account of one `prepare`. Saved without times or paths: equal data give equal files."""

    name: str
    protocol: str
    about: str
    version: str
    licence: str
    options: dict
    limit: int | None = None
    resize: int = 0  # the shorter side of the stored images in pixels; 0: as they came
    leaks: str = ""
    splits: dict[str, dict] = dataclasses.field(default_factory=dict)
    expected: dict[str, int] = dataclasses.field(default_factory=dict)
    counted: str = "records"
    set_aside: dict[str, int] = dataclasses.field(default_factory=dict)
    not_in_protocol: int = 0
    shared_images: int = 0
    checksum: str = ""

    def save(self, folder: Path) -> None:
        """Write `summary.json`."""
        (folder / FILE).write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Summary":
        """The summary of a prepared folder."""
        return cls(**json.loads((folder / FILE).read_text()))


class Ledger:
    """Counts records as they pass, and refuses what no protocol may do: one patient on two sides of a split."""

    def __init__(self, summary: Summary):
        self.summary = summary
        self.aside: list[SetAside] = []
        self._ids: dict[str, list[str]] = {split: [] for split in SPLITS}
        self._patients: dict[str, str] = {}
        self._members: dict[str, set[str]] = {split: set() for split in SPLITS}
        self._images: dict[str, str] = {}
        self._studies: set[str] = set()
        self._counts: dict[str, Counter] = {split: Counter() for split in SPLITS}

    @property
    def written(self) -> int:
        """Records entered so far."""
        return len(self._studies)

    def reasons(self) -> str:
        """What became of the rest, in a few words, with the first place of each reason."""
        places = {item.reason: item.where or item.study_id for item in reversed(self.aside)}
        counts = Counter(item.reason for item in self.aside).most_common(3)
        lines = [f"{n} x {reason} ({places[reason][:100]})" for reason, n in counts]
        return "; ".join([f"{self.summary.not_in_protocol} not in the protocol", *lines])

    def take(self, outcomes: Iterable[Outcome], limit: int | None = None) -> list[Outcome]:
        """Account for the outcomes of an item and return them as far as `limit` records allow; a second record with one
        study_id is set aside instead."""
        taken = []
        for outcome in outcomes:
            if self.written == limit:
                break
            if isinstance(outcome, Entry) and outcome.study_id in self._studies:
                outcome = SetAside(outcome.study_id, "a second record with this study_id", outcome.source)
            if outcome is None:
                self.summary.not_in_protocol += 1
            elif isinstance(outcome, SetAside):
                self.aside.append(outcome)
            else:
                self._enter(outcome)
            taken.append(outcome)
        return taken

    def _enter(self, entry: Entry) -> None:
        """Count a record; UserError if its patient is already in another split and the protocol does not allow it."""
        patient, split, name = entry.patient, entry.split, f"{self.summary.name}/{self.summary.protocol}"
        other = self._patients.setdefault(patient, split)
        if other != split and not self.summary.leaks:
            raise UserError(
                f"{name}: patient {patient!r} is in both {other} and {split} (study {entry.study_id!r}); "
                "a protocol must keep a patient on one side"
            )
        self._studies.add(entry.study_id)
        self._members[split].add(patient)
        self._ids[split].append(entry.study_id)
        counts = self._counts[split]
        counts.update(records=1, **entry.counts)
        counts.update(f"with {field}" for field in entry.fields)
        for image in entry.images:
            self.summary.shared_images += self._images.setdefault(image, split) != split

    def close(self, folder: Path) -> Summary:
        """Fill in the summary and write it with `set_aside.csv`; UserError if validation and test are the same patients."""
        summary, members = self.summary, self._members
        if members["test"] and members["validation"] == members["test"]:
            raise UserError(f"{summary.name}/{summary.protocol}: validation and test hold the same patients")
        for split in SPLITS:
            if counts := self._counts[split]:
                fields = {key.removeprefix("with "): n for key, n in sorted(counts.items()) if key.startswith("with ")}
                plain = {key: counts[key] for key in ("records", "images", "questions", "boxes")}
                summary.splits[split] = plain | {"patients": len(members[split]), "fields": fields}
        summary.set_aside = dict(Counter(item.reason for item in self.aside).most_common())
        summary.checksum = checksum(self._ids)
        summary.save(folder)
        with (folder / SET_ASIDE).open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(field.name for field in dataclasses.fields(SetAside))
            rows.writerows(dataclasses.astuple(item) for item in self.aside)
        return summary
