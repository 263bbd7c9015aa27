"""Which records to show, so that every field, view, class and label that a data set has is seen."""

import dataclasses

from unimedvlp.records import Record

MOST = 24
A_SPLIT = 4  # records of each split, at least
_KINDS = ("field", "box", "mask", "view", "modality", "text label", "label")  # the most important first
_UNSEEN = ("study_id", "patient_id", "source", "licence", "modality")


class Gallery:
    """Remembers the first record that has each thing, and chooses few records that show them all."""

    def __init__(self):
        self._first: dict[tuple[str, str], tuple[str, int]] = {}
        self._things: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._counts: dict[str, int] = {}

    def add(self, split: str, index: int, record: Record) -> None:
        """Remember a record if it has anything that none before had."""
        self._counts[split] = index + 1
        things = _things(record)
        if any(thing not in self._first for thing in things):
            self._things[split, index] = things
        for thing in things:
            self._first.setdefault(thing, (split, index))

    def chosen(self) -> list[tuple[str, int]]:
        """(split, index) of the records to show, in the order of splits and records."""
        shown: set[tuple[str, str]] = set()
        places: set[tuple[str, int]] = set()
        for thing, place in sorted(self._first.items(), key=lambda item: _KINDS.index(item[0][0])):
            if thing not in shown and (len(places) < MOST or thing[0] == "field"):
                places.add(place)
                shown.update(self._things[place])
        for split, count in self._counts.items():
            there = sum(place[0] == split for place in places)
            for i in range(A_SPLIT - there):
                places.add((split, (2 * i + 1) * count // (2 * max(1, A_SPLIT - there))))
        order = list(self._counts)
        return sorted(places, key=lambda place: (order.index(place[0]), place[1]))


def _things(record: Record) -> list[tuple[str, str]]:
    names = [field.name for field in dataclasses.fields(record) if field.name not in _UNSEEN]
    found = [("field", name) for name in names if len(getattr(record, name))]
    for kind, values in (("box", record.box_classes), ("mask", record.mask_classes), ("view", record.views)):
        found += [(kind, value) for value in dict.fromkeys(values)]
    found += [("modality", record.modality)]
    found += [("text label", value) for value in (record.text_label, record.relation) if value]
    return found + [("label", f"{name} {value}") for name, value in record.labels.items()]
