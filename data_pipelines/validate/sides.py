"""What must be on one side of a split: study ids, patients, images and texts."""

import hashlib
from collections import defaultdict

from data_pipelines.validate.contents import texts
from data_pipelines.validate.duplicates import Group
from data_pipelines.validate.problems import Problems
from unimedvlp.records import Record


class Sides:
    """Remembers who is where. `leaks` says why patients or images may be on both sides; then that is a warning."""

    def __init__(self, found: Problems, leaks: str = ""):
        self._found = found
        self._across = "warning" if leaks else "error"
        self._studies: dict[str, str] = {}
        self._patients: dict[str, set[str]] = defaultdict(set)
        self._texts: dict[bytes, list[tuple[str, str]]] = defaultdict(list)

    def add(self, split: str, record: Record) -> None:
        """Remember a record, and report a study id that occurred before."""
        if before := self._studies.get(record.study_id):
            where = f"{record.study_id}: also in {before}"
            self._found.add("error", "study id that occurs twice", split, "study_id", where)
        self._studies.setdefault(record.study_id, split)
        self._patients[record.patient].add(split)
        if not record.images:
            words = "\n".join(" ".join(text.lower().split()) for _, text in texts(record))
            key = hashlib.blake2b(words.encode(), digest_size=16).digest()
            self._texts[key].append((split, record.study_id))

    def close(self, duplicates: list[Group]) -> None:
        """Report patients and images on several sides, and records of text alone that say the same."""
        for patient, splits in self._patients.items():
            if len(splits) > 1:
                where = f"{patient}: {' and '.join(sorted(splits))}"
                self._found.add(self._across, "patient in more than one split", "", "patient_id", where)
        for group in duplicates:
            alike = "equal images" if group.exact else "nearly equal images"
            where = " = ".join(f"{place.split} {place.study_id} view {place.view}" for place in group.places[:4])
            if len(group.splits) > 1:
                self._found.add(self._across, f"{alike} in more than one split", "", "images", where)
            else:
                self._found.add("warning", f"{alike}", group.splits[0], "images", where)
        for places in self._texts.values():
            splits = list(dict.fromkeys(split for split, _ in places))
            where = " = ".join(f"{split} {study}" for split, study in places[:4])
            if len(splits) > 1:
                self._found.add("warning", "equal texts in more than one split", "", "text", where)
            elif len(places) > 1:
                self._found.add("note", "equal texts", splits[0], "text", where)
