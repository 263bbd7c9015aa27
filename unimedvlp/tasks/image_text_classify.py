"""Single-label classification of an image together with a text."""

import dataclasses

from unimedvlp.records import POSITIVE
from unimedvlp.tasks.classify import Classify
from unimedvlp.tasks.text_classify import TextClassify


@dataclasses.dataclass(frozen=True)
class ImageTextClassify(TextClassify):
    """Name the one class of an image with a text. Sequence: text in the context; BOS image_text_classify modality -> class EOS.

    `reads` is the record field that the text comes from: caption, indication, findings ... `field="labels"`: the class is the
    only one of `classes` (of all names, without them) that is positive in the record's labels, and records with none or several
    do not serve; any other field holds the class itself.
    """

    name = "image_text_classify"
    needs = ("images",)
    shows = ("images", "text")
    field: str = "labels"
    reads: str = "caption"

    def units(self, record):
        """The class itself."""
        if self.field != "labels":
            return super().units(record)
        names = [name for name in self.classes or record.labels if record.labels.get(name) == POSITIVE]
        return names if len(names) == 1 else []

    def read_of(self, record) -> str:
        """The field that is read."""
        return getattr(record, self.reads)

    def baselines(self, reference, samples):
        """The class frequencies, and logistic regressions on words and on a thumbnail of the image."""
        task = self.among(sorted({*reference.train.column("class"), *samples.column("class")}))
        return Classify.baselines(task, reference, samples) | super().baselines(reference, samples)


TASK = ImageTextClassify
