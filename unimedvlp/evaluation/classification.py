"""Accuracy, macro-F1 and AUROC with intervals; the point estimates equal scikit-learn's.

Unknown labels are nan and do not count. A column whose known labels are all of one class has no AUROC: it is nan, left
out of the macro average, and counted under `undefined_columns`. Thresholds are chosen on validation, never on the
samples that are scored.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import precision_recall_curve

from unimedvlp.errors import UserError
from unimedvlp.evaluation import bootstrap


def multiclass(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], groups: np.ndarray | None = None
) -> bootstrap.Metric:
    """accuracy, f1_macro, f1/<name>, auroc_macro (one against the rest), auroc/<name>, undefined_columns.

    labels [N]: class index or nan; probabilities [N, C]; the prediction is the most probable class. Classes that occur
    neither as label nor as prediction have no F1 and do not enter the macro average, as in scikit-learn.
    """
    labels, probabilities = _checked(np.asarray(labels, np.float64)[:, None], probabilities, names)
    labels = labels[:, 0]
    one_hot = np.where(np.isnan(labels)[:, None], np.nan, labels[:, None] == np.arange(len(names)))
    chosen = np.eye(len(names))[probabilities.argmax(1)]
    aurocs, f1 = _aurocs(one_hot, probabilities), _f1(one_hot, chosen)
    known = ~np.isnan(labels)
    hit = np.where(known, labels == probabilities.argmax(1), 0.0)

    def score(weights: np.ndarray) -> dict[str, np.ndarray]:
        accuracy = bootstrap.ratio(weights @ hit, weights @ known.astype(np.float64))
        return {"accuracy": accuracy} | _named("f1", f1(weights), names) | _named("auroc", aurocs(weights), names)

    return _with_undefined(score, one_hot, names, groups)


def multilabel(
    labels: np.ndarray,
    scores: np.ndarray,
    thresholds: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray | None = None,
) -> bootstrap.Metric:
    """accuracy (mean over known entries), f1_macro, f1/<name>, auroc_macro, auroc/<name>, undefined_columns.

    labels [N, G]: 1, 0 or nan; scores [N, G]; thresholds [G] from `choose_thresholds` (positive: >=).
    """
    labels, scores = _checked(np.asarray(labels, np.float64), scores, names)
    chosen = (scores >= np.asarray(thresholds)).astype(np.float64)
    aurocs, f1 = _aurocs(labels, scores), _f1(labels, chosen)
    known = ~np.isnan(labels)
    hits, entries = ((labels == chosen) & known).sum(1, dtype=np.float64), known.sum(1, dtype=np.float64)

    def score(weights: np.ndarray) -> dict[str, np.ndarray]:
        accuracy = bootstrap.ratio(weights @ hits, weights @ entries)
        return {"accuracy": accuracy} | _named("f1", f1(weights), names) | _named("auroc", aurocs(weights), names)

    return _with_undefined(score, labels, names, groups)


def choose_thresholds(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """float64 [G]: for each column the threshold of best F1 on these *validation* labels [N, G] and scores [N, G].

    The lowest of equals; 0.5 where the known labels hold one class only, as nothing can be chosen there.
    """
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    thresholds = np.full(labels.shape[1], 0.5)
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        if len(np.unique(labels[known, column])) == 2:
            precision, recall, cuts = precision_recall_curve(labels[known, column], scores[known, column])
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
            thresholds[column] = cuts[f1[:-1].argmax()]
    return thresholds


def weighted_auroc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC under many weightings: labels [N] of 0 and 1, scores [N], weights [R, N] -> [R]; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (1 - labels[order]), starts, axis=1)
    beaten = np.cumsum(negative, axis=1) - negative / 2
    return bootstrap.ratio((positive * beaten).sum(1), positive.sum(1) * negative.sum(1))


def _aurocs(labels: np.ndarray, scores: np.ndarray):
    columns = [np.flatnonzero(~np.isnan(column)) for column in labels.T]

    def score(weights: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                weighted_auroc(labels[rows, g], scores[rows, g], weights[:, rows])
                if len(rows)
                else np.full(len(weights), np.nan)
                for g, rows in enumerate(columns)
            ],
            axis=1,
        )

    return score


def _f1(labels: np.ndarray, chosen: np.ndarray):
    """F1 [R, G] as a function of weights; nan where nothing was said and nothing was true."""
    known = ~np.isnan(labels)
    true = np.where(known, labels, 0.0)
    said = np.where(known, chosen, 0.0)

    def score(weights: np.ndarray) -> np.ndarray:
        return bootstrap.ratio(2 * (weights @ (true * said)), weights @ (true + said))

    return score


def _named(metric: str, columns: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The macro average over the defined columns of [R, G], then each column."""
    defined = ~np.isnan(columns)
    macro = bootstrap.ratio(np.where(defined, columns, 0.0).sum(1), defined.sum(1))
    return {f"{metric}_macro": macro} | {f"{metric}/{name}": columns[:, g] for g, name in enumerate(names)}


def _with_undefined(score, labels: np.ndarray, names: Sequence[str], groups) -> bootstrap.Metric:
    known = ~np.isnan(labels)
    undefined = sum(len(np.unique(labels[rows, g])) < 2 for g, rows in enumerate(known.T))
    counts = {f"{metric}/{name}": int(known[:, g].sum()) for g, name in enumerate(names) for metric in ("f1", "auroc")}

    def counted(weights: np.ndarray) -> dict[str, np.ndarray]:
        return score(weights) | {"undefined_columns": np.full(len(weights), float(undefined))}

    return bootstrap.Metric(len(labels), counted, counts, groups)


def _checked(labels: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(scores, np.float64)
    if not len(labels) or len(labels) != len(scores) or scores.shape[1:] != (len(names),):
        raise UserError(f"labels {labels.shape} and scores {scores.shape} do not fit {len(names)} class names")
    if not np.isfinite(scores).all():
        raise UserError("scores hold values that are not finite")
    return labels, scores
