"""What a prepared data set holds: counts a split, what was set aside and why, and the checksum of its splits."""

import csv
import dataclasses
import hashlib
import json
from collections import Counter
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
        self._images: dict[bytes, str] = {}
        self._counts: dict[str, Counter] = {split: Counter() for split in SPLITS}

    @property
    def written(self) -> int:
        """Records entered so far."""
        return sum(map(len, self._ids.values()))

    def reasons(self) -> str:
        """What became of the rest, in a few words, with the first place of each reason."""
        places = {item.reason: item.where or item.study_id for item in reversed(self.aside)}
        counts = Counter(item.reason for item in self.aside).most_common(3)
        lines = [f"{n} x {reason} ({places[reason][:100]})" for reason, n in counts]
        return "; ".join([f"{self.summary.not_in_protocol} not in the protocol", *lines])

    def enter(self, split: str, record: Record) -> None:
        """Count a record; UserError if its patient is already in another split and the protocol does not allow it."""
        patient, name = record.patient, f"{self.summary.name}/{self.summary.protocol}"
        other = self._patients.setdefault(patient, split)
        if other != split and not self.summary.leaks:
            raise UserError(
                f"{name}: patient {patient!r} is in both {other} and {split} (study {record.study_id!r}); "
                "a protocol must keep a patient on one side"
            )
        self._members[split].add(patient)
        self._ids[split].append(record.study_id)
        counts = self._counts[split]
        counts.update(records=1, images=len(record.images), questions=len(record.qa), boxes=len(record.boxes))
        counts.update(f"with {field.name}" for field in dataclasses.fields(record) if len(getattr(record, field.name)))
        for image in record.images:
            key = hashlib.blake2b(image, digest_size=12).digest()
            self.summary.shared_images += self._images.setdefault(key, split) != split

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
