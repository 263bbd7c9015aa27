"""Detection: boxes of objects and their classes."""

import dataclasses

import numpy as np

from unimedvlp.evaluation import regions
from unimedvlp.evaluation.detection import detection
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import grammar, region_sequences
from unimedvlp.tokens.box_noise import Noise


@dataclasses.dataclass(frozen=True)
class Detect(Task):
    """Find the objects of an image. Sequence: BOS detect modality -> (ymin xmin ymax xmax class)* EOS.

    `classes` narrows the classes; without it all boxes of a record are objects. A response has room for `objects` boxes, more
    are counted as dropped. With `noise`, training fills free places with boxes that are none (see `box_noise`), and decoding
    fills all: a box's score is the probability of its likeliest class.
    """

    name = "detect"
    needs = ("images", "boxes")
    shows = ("images",)
    headline = ("ap50", "map", "froc")
    scored = True
    classes: tuple[str, ...] = ()
    objects: int = region_sequences.MAX_OBJECTS
    noise: bool = True

    def units(self, record):
        """The image, where it has an object of the classes."""
        return [None] if self._chosen(record)[1] else []

    def sequence(self, record, unit, space, rng=None):
        """Ids of the boxes and their classes, in random order and with noise in training; without `rng`, objects of
        unknown classes are left out, so that a model can be asked about images that hold more than it knows."""
        boxes, classes = self._chosen(record)
        if rng is None:
            known = [i for i, name in enumerate(classes) if name in space.vocabulary.classes]
            boxes, classes = boxes[known], [classes[i] for i in known]
        given = (space, record.modality, boxes, classes, rng)
        return region_sequences.detection(*given, objects=self.objects, noise=self._noise(rng))

    def truth(self, record, unit):
        """Boxes and class names."""
        boxes, classes = self._chosen(record)
        return {"boxes": boxes.tolist(), "classes": list(classes)}

    def grammar(self, space, length):
        """Boxes of at most `objects` objects."""
        return grammar.build(space.vocabulary, self.name, length=length, objects=self.objects)

    def read(self, response, space, sure=None):
        """Generated ids -> boxes, classes and scores."""
        return regions.read_boxes(response, space, sure)

    def from_regions(self, found, names, unit):
        """The best boxes of the queries, each under each name."""
        return regions.best_boxes(found, names)

    def metrics(self, predictions, samples, reference):
        """COCO's average precision and FROC; intervals over images."""
        said = [prediction or regions.NOTHING for prediction in predictions]
        return [detection(said, samples.truths, samples.records)]

    def baselines(self, reference, samples):
        """The mean boxes of the training images, and the boxes of the image that looks most alike."""
        return regions.box_baselines(reference.train, samples)

    def show(self, prediction, truth):
        """How many objects of each class."""
        return {"prediction": regions.counted(prediction), "truth": regions.counted(truth)}

    def marks(self, prediction, truth):
        """Boxes of both."""
        return [*regions.box_marks(prediction, "prediction", 0), *regions.box_marks(truth, "truth", 1)]

    def _noise(self, rng) -> Noise | None:
        return Noise() if self.noise and rng is not None else None

    def _chosen(self, record) -> tuple[np.ndarray, list[str]]:
        kept = [i for i, name in enumerate(record.box_classes) if not self.classes or name in self.classes]
        return np.asarray(record.boxes)[kept], [record.box_classes[i] for i in kept]


TASK = Detect
