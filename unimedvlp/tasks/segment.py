"""Segmentation: where in the image is this class?"""

import dataclasses

import numpy as np

from unimedvlp import runs
from unimedvlp.evaluation import regions
from unimedvlp.evaluation.segmentation import segmentation
from unimedvlp.objects import is_a
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import geometry, grammar, region_sequences


@dataclasses.dataclass(frozen=True)
class Segment(Task):
    """Outline a class and its kinds. Sequence: BOS segment modality class -> y x y x ... (SEP y x ...)* EOS, or NEG EOS.

    A unit is a class; its mask is all of the class in the image, in at most `points` points. `classes` are asked of every image
    that has any of them, absent ones too; without them, those that the record has masks of.
    """

    name = "segment"
    needs = ("images", "masks")
    shows = ("images",)
    headline = ("dice", "iou", "hd95")
    lower = ("hd95",)
    kinds = True
    classes: tuple[str, ...] = ()
    points: int = geometry.MAX_POINTS

    def units(self, record):
        """Class names."""
        there = list(dict.fromkeys(record.mask_classes))
        if not self.classes:
            return there
        return list(self.classes) if set(there) & set(self.classes) else []

    def sequence(self, record, unit, space, rng=None):
        """Ids of the outlines of one class."""
        return region_sequences.segmentation(
            space, record.modality, unit, regions.union(record, unit), points=self.points
        )

    def truth(self, record, unit):
        """The class and its mask."""
        return {"class": unit, "mask": runs.encode(regions.union(record, unit))}

    def grammar(self, space, length):
        """Outlines of at most `points` points."""
        return grammar.build(space.vocabulary, self.name, length=length, points=self.points)

    def read(self, response, space):
        """Generated ids -> polygons."""
        return regions.drawn(region_sequences.read_segmentation(response))

    def from_regions(self, found, names, unit):
        """Where the masks of all queries, each weighed by its score for the class and its kinds, make at least a half
        (X-Decoder)."""
        if found.masks is None:
            return None
        weight = np.asarray(found.scores)[:, [is_a(name, unit) for name in names]].sum(axis=1)
        return runs.encode(np.einsum("q,qhw->hw", weight, np.asarray(found.masks)) >= 0.5)

    def metrics(self, predictions, samples, reference):
        """Dice, IoU, Hausdorff distance, and Dice by class; intervals over images."""
        return [segmentation(predictions, samples.column("mask"), samples.column("class"), samples.records)]

    def baselines(self, reference, samples):
        """The mean mask of each class in training, and the mask of the image that looks most alike."""
        return regions.mask_baselines(reference.train, samples)

    def show(self, prediction, truth):
        """The class, and what share of the image each covers."""
        shares = {"prediction": regions.share(prediction, truth["mask"]), "truth": regions.share(truth["mask"])}
        return {"class": truth["class"], **{key: f"{share:.1%} of the image" for key, share in shares.items()}}

    def marks(self, prediction, truth):
        """Both masks."""
        return [
            regions.mask_mark(prediction, truth["mask"], "prediction", 0),
            regions.mask_mark(truth["mask"], truth["mask"], "truth", 1),
        ]


TASK = Segment
