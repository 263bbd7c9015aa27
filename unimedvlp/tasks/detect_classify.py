"""Detection and classification in one call: the objects of an image, then its one class."""

import dataclasses

import numpy as np

from unimedvlp.evaluation import baselines, bootstrap, regions
from unimedvlp.tasks.classify import Classify
from unimedvlp.tasks.detect import Detect
from unimedvlp.tokens import grammar, region_sequences


@dataclasses.dataclass(frozen=True)
class DetectClassify(Detect):
    """Find objects and name the image's class. Sequence: BOS detect classify modality -> boxes SEP classify class EOS.

    `classes` narrows the objects as in detection; `labels` and `field` say what the image's class is, as in classification.
    """

    headline = ("ap50", "map", "accuracy")
    labels: tuple[str, ...] = ()
    field: str = "labels"

    def units(self, record):
        """The image's class, where it has one and an object."""
        return self._classify().units(record) if super().units(record) else []

    def sequence(self, record, unit, space, rng=None):
        """Ids of the boxes and their classes, then of the image's class."""
        named = self._classify().sequence(record, unit, space)
        return region_sequences.combined(
            space, [("detect", super().sequence(record, unit, space, rng)), ("classify", named)]
        )

    def truth(self, record, unit):
        """Boxes, class names and the image's class."""
        return super().truth(record, unit) | {"class": unit}

    def grammar(self, space, length):
        """Boxes, then one of the classes."""
        parts = ("detect", "classify")
        return grammar.build(space.vocabulary, parts, length=length, objects=self.objects)

    def read(self, response, space, sure=None):
        """Generated ids -> boxes, classes and scores, and the image's class."""
        parts = region_sequences.read_combined(response, "detect", space)
        if parts is None or [name for name, _ in parts] != ["detect", "classify"]:
            return None
        return regions.read_boxes(regions.first_part(response), space, sure) | {"class": parts[1][1]}

    def from_regions(self, found, names, unit):
        """The best boxes of the queries, and the likeliest class of the whole image."""
        likely = [found.image[names.index(name)] if name in names else -np.inf for name in self.labels]
        return super().from_regions(found, names, unit) | {"class": self.labels[int(np.argmax(likely))]}

    def metrics(self, predictions, samples, reference):
        """Those of detection, and accuracy of the class; intervals over images."""
        said = [prediction["class"] if prediction else None for prediction in predictions]
        right = np.array([a == b for a, b in zip(said, samples.column("class"), strict=True)], float)
        boxes = super().metrics(predictions, samples, reference)
        return [*boxes, bootstrap.means({"accuracy": right}, samples.records)]

    def baselines(self, reference, samples):
        """Those of detection, with the most frequent class and with that of the most alike training image."""
        mean, nearest = super().baselines(reference, samples).items()
        train = reference.train
        alike = baselines.nearest_image(train.pixels(), train.column("class"), samples.pixels())
        frequent = baselines.most_frequent(train.column("class"), len(alike))
        return {
            title: [found | {"class": name} for found, name in zip(boxes, classes, strict=True)]
            for (title, boxes), classes in ((mean, frequent), (nearest, alike))
        }

    def show(self, prediction, truth):
        """How many objects of each class, and the image's class."""
        shown = super().show(prediction, truth)
        pairs = ((shown["prediction"], prediction or {"class": "malformed"}), (shown["truth"], truth))
        return dict(zip(shown, (f"{boxes}; {found['class']}" for boxes, found in pairs), strict=True))

    def _classify(self) -> Classify:
        return Classify(classes=self.labels, field=self.field)


TASK = DetectClassify
