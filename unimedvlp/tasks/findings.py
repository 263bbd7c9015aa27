"""Multi-label image classification: is this finding present?"""

import dataclasses

import numpy as np

from unimedvlp.evaluation import baselines, classification
from unimedvlp.records import NEGATIVE, POSITIVE
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Findings(Task):
    """One query a finding. Sequence: BOS findings modality class -> POS | NEG | UNCERTAIN EOS.

    A unit is the name of a finding that the record says something about; unmentioned ones are neither asked nor scored, and
    uncertain ones are asked but not scored. `classes` narrows them. The score of a finding is P(POS) / (P(POS) + P(NEG)).
    """

    name = "findings"
    needs = ("images", "labels")
    shows = ("images",)
    headline = ("auroc_macro", "f1_macro", "accuracy")
    tunes = True
    classes: tuple[str, ...] = ()

    def units(self, record):
        """Names of the findings that the record speaks of."""
        return [name for name in record.labels if not self.classes or name in self.classes]

    def sequence(self, record, unit, space, rng=None):
        """Ids of one query."""
        return sequences.finding(space, record.modality, unit, record.labels[unit])

    def truth(self, record, unit):
        """The finding's name and value."""
        return {"finding": unit, "value": record.labels[unit]}

    def choices(self, space):
        """The three values."""
        return sequences.VALUE_TOKENS

    def from_regions(self, found, names, unit):
        """The probability that the finding's name says something true of the image."""
        likely = float(found.image[names.index(unit)])
        return {POSITIVE: likely, NEGATIVE: 1 - likely}

    def metrics(self, predictions, samples, reference):
        """Macro and per-finding AUROC and F1, accuracy. Thresholds are the best on validation (0.5 without it)."""
        names = sorted({truth["finding"] for truth in samples.truths})
        labels, scores, groups = _matrix(samples, names, [_score(p) for p in predictions])
        thresholds = np.full(len(names), 0.5)
        if reference.predictions is not None:
            known, said, _ = _matrix(reference.validation, names, [_score(p) for p in reference.predictions])
            thresholds = classification.choose_thresholds(known, said)
        return [classification.multilabel(labels, scores, thresholds, names, groups)]

    def baselines(self, reference, samples):
        """How frequent each finding is, and a logistic regression on a thumbnail of the image."""
        train, trained = reference.train, reference.train.column("value")
        asked, learnt = np.array(samples.column("finding")), np.array(train.column("finding"))
        positive = np.array([value == POSITIVE for value in trained])
        known = np.array([value in (POSITIVE, NEGATIVE) for value in trained])
        frequency, regression = np.full(len(asked), 0.5), np.full(len(asked), 0.5)
        seen, shown = train.pixels(), samples.pixels()
        for name in np.unique(asked):
            here, rows = asked == name, (learnt == name) & known
            if len(np.unique(positive[rows])) == 2:
                frequency[here] = positive[rows].mean()
                regression[here] = baselines.pixel_regression(seen[rows], positive[rows], shown[here])[:, 1]
        found = {"frequency": frequency, "regression on 32x32 pixels": regression}
        return {name: [{POSITIVE: p, NEGATIVE: 1 - p} for p in values] for name, values in found.items()}

    def show(self, prediction, truth):
        """The finding, its probability and its value."""
        said = f"{_score(prediction):.2f}"
        return {"finding": truth["finding"], "prediction": f"P(positive) = {said}", "truth": truth["value"]}


def _score(prediction):
    return prediction[POSITIVE] / max(prediction[POSITIVE] + prediction[NEGATIVE], 1e-12)


def _matrix(samples, names, scores):
    """Units as a table of records by findings: labels (nan where unknown), scores, and the record of each row."""
    records, rows = np.unique(samples.records, return_inverse=True)
    labels = np.full((len(records), len(names)), np.nan)
    table = np.zeros((len(records), len(names)))
    for row, truth, score in zip(rows, samples.truths, scores, strict=True):
        if truth["finding"] in names:
            column = names.index(truth["finding"])
            labels[row, column] = {POSITIVE: 1.0, NEGATIVE: 0.0}.get(truth["value"], np.nan)
            table[row, column] = score
    return labels, table, records


TASK = Findings
