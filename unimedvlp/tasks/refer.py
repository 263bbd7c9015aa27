"""Referring: where is what these words name? The name is text, so words that no training image showed can be asked too."""

import dataclasses

import numpy as np

from unimedvlp import objects, runs
from unimedvlp.evaluation import bootstrap, regions
from unimedvlp.evaluation.overlap import dice
from unimedvlp.evaluation.segmentation import as_mask
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import grammar, region_sequences

FORMS = ("{}", "the {}", "{} in this image", "where is the {}")
LEAST = 0.5  # score of the best query below which nothing is found


@dataclasses.dataclass(frozen=True)
class Refer(Task):
    """Find the one object that a phrase names. Sequence: BOS refer modality phrase SEP -> ymin xmin ymax xmax EOS, or NEG EOS.

    A unit is a class name that the image has exactly one object of; with `classes`, names of these that it has none of are
    asked too, and answered NEG. Training words the phrase in one of `FORMS`. With `masks` (BOS refer segment ...) the outline
    follows: SEP segment y x y x ... in at most `points` points.
    """

    name = "refer"
    needs = ("images",)
    shows = ("images",)
    classes: tuple[str, ...] = ()
    masks: bool = False
    points: int = 32

    @property
    def uses(self) -> tuple[str, ...]:
        """Record fields that it looks at."""
        return ("boxes", "masks") if self.masks else ("boxes",)

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the leading metrics."""
        return ("acc50", "iou", "dice") if self.masks else ("acc50", "iou")

    def units(self, record):
        """Class names."""
        found = self._objects(record)
        if not found.classes or (self.masks and not record.masks):
            return []
        count = {name: found.classes.count(name) for name in dict.fromkeys([*found.classes, *self.classes])}
        possible = [
            name for name, number in count.items() if number <= 1 and (not self.classes or name in self.classes)
        ]
        return [name for name in possible if not self.masks or not count[name] or self._mask(found, name) is not None]

    def sequence(self, record, unit, space, rng=None):
        """Ids of the phrase, of the box, and of the outline if it is asked for."""
        found = self._objects(record)
        there = unit in found.classes
        phrase = (FORMS[0] if rng is None else str(rng.choice(FORMS))).format(unit)
        box = found.boxes[found.classes.index(unit)] if there else None
        first = region_sequences.referral(space, record.modality, phrase, box)
        if not self.masks:
            return first
        outlines = [("segment", region_sequences.outline(self._mask(found, unit), self.points))] if there else []
        return region_sequences.combined(space, [("refer", first), *outlines], asked=("segment",))

    def texts(self, record):
        """Every form of every name that can be asked."""
        return [form.format(name) for name in self.units(record) for form in FORMS]

    def truth(self, record, unit):
        """The name, its box or None, and its mask where it is asked for."""
        found = self._objects(record)
        there = unit in found.classes
        truth = {"name": unit, "box": found.boxes[found.classes.index(unit)].tolist() if there else None}
        if self.masks:
            shape = objects.decode_mask(record.masks[0]).shape
            truth["mask"] = runs.encode(self._mask(found, unit) if there else np.zeros(shape, bool))
        return truth

    def grammar(self, space, length):
        """A box or NEG, and the outline of a box."""
        tasks = ("refer", "segment") if self.masks else ("refer",)
        return grammar.build(space.vocabulary, tasks, length=length, points=self.points)

    def read(self, response, space):
        """Generated ids -> box or None, and polygons."""
        parts = region_sequences.read_combined(response, "refer", space)
        if parts is None:
            return None
        (_, boxes), *outlines = parts
        mask = {"mask": regions.drawn(outlines[0][1]) if outlines else {"polygons": []}} if self.masks else {}
        return {"box": boxes[0].tolist() if len(boxes) else None} | mask

    def from_regions(self, found, names, unit):
        """The query that the name fits best, where it does so by at least `LEAST`."""
        scores = np.asarray(found.scores, float)[:, names.index(unit)]
        best = int(scores.argmax())
        seen = scores[best] >= LEAST
        said = {"box": np.clip(np.asarray(found.boxes[best], float), 0, 1).tolist() if seen else None}
        if self.masks and found.masks is not None:
            said["mask"] = runs.encode(np.asarray(found.masks[best]) >= (0.5 if seen else np.inf))
        return said

    def metrics(self, predictions, samples, reference):
        """acc50, the share of boxes with an IoU of at least .5, iou, and dice of the masks. An absent object counts 1 where
        none is found, else 0. Intervals over images."""
        overlap = np.array([_overlap(*pair) for pair in zip(predictions, samples.column("box"), strict=True)])
        columns = {"acc50": overlap >= 0.5, "iou": overlap}
        if self.masks:
            masks = [(prediction or {}).get("mask") for prediction in predictions]
            true = [runs.decode(mask) for mask in samples.column("mask")]
            pairs = zip(masks, true, strict=True)
            columns["dice"] = np.array([dice(as_mask(said, *mask.shape), mask) for said, mask in pairs])
        return [bootstrap.means(columns, samples.records)]

    def baselines(self, reference, samples):
        """The mean box of each name in training, which is its own mask."""
        train, mean = reference.train, {}
        for name in set(train.column("name")):
            boxes = [t["box"] for t in train.truths if t["name"] == name and t["box"] is not None]
            mean[name] = np.mean(boxes, axis=0).tolist() if boxes else None
        boxes = [mean.get(name) for name in samples.column("name")]
        return {"mean box": [{"box": box, "mask": regions.filled(box)} for box in boxes]}

    def show(self, prediction, truth):
        """The name and both boxes."""
        boxes = {"prediction": prediction and prediction["box"], "truth": truth["box"]}
        shown = {key: "nothing" if box is None else " ".join(f"{x:.2f}" for x in box) for key, box in boxes.items()}
        return {"name": truth["name"], **shown}

    def marks(self, prediction, truth):
        """Boxes and masks of both."""
        marks = []
        for image, (kind, found) in enumerate((("prediction", prediction), ("truth", truth))):
            if found and found["box"]:
                marks.append(regions.Mark(kind, tuple(found["box"]), label=truth["name"], image=image))
            if found and found.get("mask"):
                marks.append(regions.mask_mark(found["mask"], truth["mask"], kind, image))
        return marks

    def _objects(self, record) -> objects.Objects:
        if self.masks:
            return objects.of_record(record)
        return objects.Objects(np.asarray(record.boxes), record.box_classes, (None,) * len(record.box_classes))

    def _mask(self, found: objects.Objects, name: str) -> np.ndarray | None:
        return found.masks[found.classes.index(name)]


def _overlap(prediction: dict | None, truth: list[float] | None) -> float:
    """IoU of boxes, 1 where both say that there is none; a malformed prediction has none of it."""
    if prediction is None or prediction["box"] is None or truth is None:
        return float(prediction is not None and prediction["box"] is truth)
    return float(objects.iou(np.array([prediction["box"]]), np.array([truth]))[0, 0])


TASK = Refer
