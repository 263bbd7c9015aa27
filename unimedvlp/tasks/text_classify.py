"""Single-label text classification."""

import dataclasses

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import baselines
from unimedvlp.tasks.classify import Classify
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class TextClassify(Classify):
    """Name the one class of a text. Sequence: text in the context; BOS text_classify modality -> class EOS.

    A record serves if it has a text and a label; a label that is not among `classes` is an error that names it. Without
    `classes` any label will do, and the answer is one of all names in the registry.
    """

    name = "text_classify"
    needs = ("text", "text_label")
    shows = ("text",)
    field: str = "text_label"

    def units(self, record):
        """The class itself."""
        label = getattr(record, self.field)
        if label and self.classes and label not in self.classes:
            raise UserError(
                f"task {self.name}: record {record.study_id!r} has the label {label!r}, which is not among its classes "
                f"({', '.join(self.classes)}); add it to the task's classes"
            )
        return [label] if label else []

    def sequence(self, record, unit, space, rng=None):
        """Ids of the text and its class."""
        return sequences.text_choice(space, self.name, record.modality, self.read_of(record), unit)

    def read_of(self, record) -> str:
        """What the text encoder reads of a record."""
        return record.text

    def texts(self, record):
        """The text."""
        return (self.read_of(record),)

    def truth(self, record, unit):
        """The class name, and what it is told from."""
        return {"class": unit, "text": self.read_of(record)}

    def choices(self, space):
        """The classes."""
        return {name: space.vocabulary.class_id(name) for name in self.classes or space.vocabulary.classes}

    def metrics(self, predictions, samples, reference):
        """Accuracy, macro-F1 and one-against-the-rest AUROC; intervals over records."""
        return Classify.metrics(self.among(predictions[0]), predictions, samples, reference)

    def among(self, names):
        """The same task with its classes, or with these names where it was given none."""
        return self if self.classes else dataclasses.replace(self, classes=tuple(names))

    def baselines(self, reference, samples):
        """The class frequencies, and a logistic regression on words."""
        return self._by_words(reference, samples, {"regression on words": "text"})

    def _by_words(self, reference, samples, readings):
        task = self.among(sorted({*reference.train.column("class"), *samples.column("class")}))
        labels = np.array([task.classes.index(name) for name in reference.train.column("class")])
        frequency = np.bincount(labels, minlength=len(task.classes)) / len(labels)
        found = {"frequency": np.tile(frequency, (len(samples.truths), 1))}
        for title, key in readings.items():
            found[title] = np.zeros((len(samples.truths), len(task.classes)))
            known, asked = reference.train.column(key), samples.column(key)
            found[title][:, np.unique(labels)] = baselines.text_regression(known, labels, asked)
        return {title: [dict(zip(task.classes, row, strict=True)) for row in rows] for title, rows in found.items()}

    def show(self, prediction, truth):
        """The text with the likeliest class and the true one."""
        return {"text": truth["text"]} | super().show(prediction, truth)

    def serves(self, record):
        """Also asks for a word to be there."""
        return super().serves(record) and bool(self.read_of(record).strip())


TASK = TextClassify
