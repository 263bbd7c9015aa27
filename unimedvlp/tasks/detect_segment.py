"""Detection and segmentation in one call: every object's box and class, then its outline."""

import dataclasses

import numpy as np

from unimedvlp import objects, runs
from unimedvlp.evaluation import regions
from unimedvlp.evaluation.detection import detection
from unimedvlp.evaluation.segmentation import mask_overlap
from unimedvlp.tasks.detect import Detect
from unimedvlp.tokens import grammar, region_sequences


@dataclasses.dataclass(frozen=True)
class DetectSegment(Detect):
    """Find and outline the objects. Sequence: BOS detect segment modality -> boxes (SEP segment outline)* EOS.

    Objects are boxes and masks brought together (see `objects`); an image serves if all its objects of the classes have masks.
    An outline has at most `points` points.
    """

    needs = ("images", "masks")
    uses = ("boxes",)
    headline = ("mask_ap50", "mask_map", "ap50", "map", "froc")
    points: int = 32

    def units(self, record):
        """The image, where its objects of the classes have masks."""
        found = self._objects(record)
        return [None] if found.classes and all(mask is not None for mask in found.masks) else []

    def sequence(self, record, unit, space, rng=None):
        """Ids of boxes and classes, then of outlines in the same order."""
        found = self._objects(record)
        if rng is None:
            found = _only(found, lambda name: name in space.vocabulary.classes)
        given = (space, record.modality, found.boxes, found.classes, found.masks, rng)
        options = {"objects": self.objects, "noise": self._noise(rng), "points": self.points}
        parts = region_sequences.detection_and_masks(*given, **options)
        return region_sequences.combined(space, parts, asked=("segment",))

    def truth(self, record, unit):
        """Boxes, class names and masks."""
        found = self._objects(record)
        masks = [runs.encode(mask) for mask in found.masks]
        return {"boxes": found.boxes.tolist(), "classes": list(found.classes), "masks": masks}

    def grammar(self, space, length):
        """Boxes of at most `objects` objects, then an outline for each that is no noise."""
        sizes = {"objects": self.objects, "points": self.points}
        return grammar.build(space.vocabulary, ("detect", "segment"), length=length, **sizes)

    def read(self, response, space, sure=None):
        """Generated ids -> boxes, classes, scores and polygons; boxes labelled NOISE have none and are left out."""
        return regions.read_objects(response, space, sure)

    def from_regions(self, found, names, unit):
        """The best boxes of the queries, with their masks."""
        return regions.best_boxes(found, names, masks=True)

    def metrics(self, predictions, samples, reference):
        """COCO's average precision of boxes and of masks, and FROC of boxes; intervals over images."""
        said = [prediction or regions.NOTHING for prediction in predictions]
        masks = detection(said, samples.truths, samples.records, overlap=mask_overlap, prefix="mask_")
        return [masks, *super().metrics(predictions, samples, reference)]

    def baselines(self, reference, samples):
        """Those of detection; a mean box is its own mask."""
        return regions.object_baselines(reference.train, samples)

    def marks(self, prediction, truth):
        """Boxes and masks of both."""
        return [
            *super().marks(prediction, truth),
            *regions.instance_marks(prediction, "prediction", 0, truth["masks"][0]),
            *regions.instance_marks(truth, "truth", 1, truth["masks"][0]),
        ]

    def _objects(self, record) -> objects.Objects:
        return _only(objects.of_record(record), lambda name: not self.classes or name in self.classes)


def _only(found: objects.Objects, wanted) -> objects.Objects:
    """The objects of wanted classes."""
    kept = [i for i, name in enumerate(found.classes) if wanted(name)]
    columns = (tuple(column[i] for i in kept) for column in (found.classes, found.masks))
    return objects.Objects(found.boxes[np.array(kept, int)], *columns)


TASK = DetectSegment
