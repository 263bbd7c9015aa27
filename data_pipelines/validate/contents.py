"""What is counted of every split: fields, views, classes, labels, words, sizes of images."""

import dataclasses
from collections import Counter, defaultdict

from unimedvlp.records import LABEL_VALUES, Record

TEXTS = ("indication", "findings", "impression", "caption", "premise", "hypothesis", "text")


@dataclasses.dataclass
class Contents:
    """Counts of one split, filled record by record."""

    records: int = 0
    images: int = 0
    questions: int = 0
    boxes: int = 0
    masks: int = 0
    patients: set[str] = dataclasses.field(default_factory=set)
    fields: Counter = dataclasses.field(default_factory=Counter)
    views: Counter = dataclasses.field(default_factory=Counter)
    modalities: Counter = dataclasses.field(default_factory=Counter)
    sizes: Counter = dataclasses.field(default_factory=Counter)  # "512 x 512"
    words: Counter = dataclasses.field(default_factory=Counter)  # of each text field
    box_classes: Counter = dataclasses.field(default_factory=Counter)
    mask_classes: Counter = dataclasses.field(default_factory=Counter)
    text_labels: Counter = dataclasses.field(default_factory=Counter)
    labels: dict[str, Counter] = dataclasses.field(default_factory=lambda: defaultdict(Counter))

    def add(self, record: Record) -> None:
        """Count a record."""
        self.records += 1
        self.images += len(record.images)
        self.questions += len(record.qa)
        self.boxes += len(record.boxes)
        self.masks += len(record.masks)
        self.patients.add(record.patient)
        self.fields.update(field.name for field in dataclasses.fields(record) if len(getattr(record, field.name)))
        self.views.update(record.views)
        self.modalities[record.modality] += 1
        self.box_classes.update(record.box_classes)
        self.mask_classes.update(record.mask_classes)
        self.text_labels.update(label for label in (record.text_label, record.relation) if label)
        for name, value in record.labels.items():
            self.labels[name][value] += 1
        for field, text in texts(record):
            self.words[field] += len(text.split())

    def as_dict(self) -> dict:
        """Plain counts: patients as their number, labels as {name: {value: count}}."""
        plain = {key: dict(value) if isinstance(value, Counter) else value for key, value in vars(self).items()}
        labels = {name: {value: count[value] for value in LABEL_VALUES} for name, count in self.labels.items()}
        return plain | {"patients": len(self.patients), "labels": labels}


def texts(record: Record) -> list[tuple[str, str]]:
    """(field, text) of every text that a record has; questions and answers are "qa.question" and "qa.answer"."""
    found = [(field, text) for field in TEXTS if (text := getattr(record, field))]
    found += [("qa.question", item.question) for item in record.qa]
    return found + [("qa.answer", item.answer) for item in record.qa]
