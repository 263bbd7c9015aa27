"""Single-label image classification."""

import dataclasses

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
    classes: tuple[str, ...] = ()
    field: str = "labels"

    def units(self, record):
        """The class itself, or nothing where it is not unique or not among `classes`."""
        if self.field == "labels":
            names = [name for name in self.classes if record.labels.get(name) == POSITIVE]
        else:
            names = [name for name in (getattr(record, self.field),) if name in self.classes]
        return names if len(names) == 1 else []

    def sequence(self, record, unit, space):
        """Ids of the one class."""
        modality = record.modality if self.field == "labels" else "other"
        return sequences.classification(space, modality, unit)

    def truth(self, record, unit):
        """The class name."""
        return {"class": unit}

    def read(self, response, space):
        """Generated ids -> class name."""
        return sequences.read_classification(response, space)


TASK = Classify
