"""Single-label image classification."""

import dataclasses

import numpy as np

from unimedvlp.evaluation import baselines, classification
from unimedvlp.records import POSITIVE
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Classify(Task):
    """Name the one class of an image. Sequence: BOS classify modality -> class EOS.

    `field="labels"`: the class is the only one of `classes` that is positive in the record's labels; records with none or
    several do not serve. `field="modality"` or `"body_part"`: that field is the class, and the prompt's modality is "other".
    """

    name = "classify"
    needs = ("images",)
    shows = ("images",)
    headline = ("accuracy", "f1_macro", "auroc_macro")
    classes: tuple[str, ...] = ()
    field: str = "labels"

    def units(self, record):
        """The class itself, or nothing where it is not unique or not among `classes`."""
        if self.field == "labels":
            names = [name for name in self.classes if record.labels.get(name) == POSITIVE]
        else:
            names = [name for name in (getattr(record, self.field),) if name in self.classes]
        return names if len(names) == 1 else []

    def sequence(self, record, unit, space, rng=None):
        """Ids of the one class."""
        modality = record.modality if self.field == "labels" else "other"
        return sequences.classification(space, modality, unit)

    def truth(self, record, unit):
        """The class name."""
        return {"class": unit}

    def choices(self, space):
        """The classes."""
        return {name: space.vocabulary.class_id(name) for name in self.classes}

    def from_regions(self, found, names, unit):
        """How likely each class's name is for the image, as shares of their sum."""
        likely = np.array([found.image[names.index(name)] for name in self.classes], float)
        return dict(zip(self.classes, (likely / max(likely.sum(), 1e-12)).tolist(), strict=True))

    def metrics(self, predictions, samples, reference):
        """Accuracy, macro-F1 and one-against-the-rest AUROC; intervals over records."""
        labels = np.array([self.classes.index(name) for name in samples.column("class")])
        probabilities = np.array([[p[name] for name in self.classes] for p in predictions])
        return [classification.multiclass(labels, probabilities, self.classes, samples.records)]

    def baselines(self, reference, samples):
        """The class frequencies, and a logistic regression on a thumbnail of the image."""
        labels = np.array([self.classes.index(name) for name in reference.train.column("class")])
        frequency = np.bincount(labels, minlength=len(self.classes)) / len(labels)
        regression = np.zeros((len(samples.truths), len(self.classes)))
        regression[:, np.unique(labels)] = baselines.pixel_regression(
            reference.train.pixels(), labels, samples.pixels()
        )
        found = {"frequency": np.tile(frequency, (len(regression), 1)), "regression on 32x32 pixels": regression}
        return {title: [dict(zip(self.classes, row, strict=True)) for row in rows] for title, rows in found.items()}

    def show(self, prediction, truth):
        """The likeliest class and the true one."""
        best = max(prediction, key=prediction.get)
        return {"prediction": f"{best} ({prediction[best]:.2f})", "truth": truth["class"]}


TASK = Classify
