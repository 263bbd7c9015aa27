"""Scores of pictures as codes: how well they come back, how many codes are used, how many of a written picture are right."""

import functools
from collections.abc import Sequence

import numpy as np

from unimedvlp.code_model import CodeModel
from unimedvlp.evaluation.bootstrap import Metric, means, totals

Codes = Sequence[int]


def psnr(images: np.ndarray, found: np.ndarray, groups: np.ndarray | None = None) -> Metric:
    """`psnr`: the mean over images uint8 `[N, H, W, C]` of 10 log10(255^2 / mean squared error), in dB; at most 100."""
    error = np.square(images.astype(np.float64) - found).reshape(len(images), -1).mean(1)
    return means({"psnr": 10 * np.log10(255**2 / np.maximum(error, 255**2 / 1e10))}, groups)


def mask_dice(masks: Sequence[np.ndarray], found: Sequence[np.ndarray], groups: np.ndarray | None = None) -> Metric:
    """`dice`: the mean over N masks bool `[H, W]`, each of its own size; 1 where both are empty."""
    values = []
    for mask, other in zip(masks, found, strict=True):
        total = int(mask.sum()) + int(other.sum())
        values.append(2 * int((mask & other).sum()) / total if total else 1.0)
    return means({"dice": np.array(values)}, groups)


def usage(codes: np.ndarray, size: int, groups: np.ndarray | None = None) -> Metric:
    """`perplexity` of codes int `[N, n]`, as many as are used if all were used alike, and `used`, their share of `size`."""
    counts = np.stack([np.bincount(row, minlength=size) for row in codes])

    def score(sums: np.ndarray) -> dict[str, np.ndarray]:
        share = sums / sums.sum(axis=1, keepdims=True)
        entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
        return {"perplexity": np.exp(entropy), "used": (sums > 0).mean(axis=1)}

    return totals(counts, score, groups)


def written(
    predictions: Sequence[Codes | None], truths: Sequence[Codes], groups: np.ndarray, model: str = ""
) -> list[Metric]:
    """Scores of written codes: `code_accuracy`, the share of places with the true code (0 where the number of codes differs);
    `distinct`, how many of the predictions differ from each other; and, with the working directory `model` that the codes were
    made with, `psnr` of their pictures against those of the true codes (a prediction that is no picture is black)."""
    right = [
        float(np.mean(np.equal(said, true))) if said is not None and len(said) == len(true) else 0.0
        for said, true in zip(predictions, truths, strict=True)
    ]
    distinct = float(len({tuple(said) for said in predictions if said is not None}))
    counted = Metric(len(right), lambda weights: {"distinct": np.full(len(weights), distinct)})
    found = [means({"code_accuracy": np.array(right)}, groups), counted]
    return [*found, psnr(pictures(truths, model), pictures(predictions, model), groups)] if model else found


def pictures(codes: Sequence[Codes | None], model: str) -> np.ndarray:
    """The pictures uint8 `[N, S, S, C]` of codes, by the working directory they were made with; black for what is none."""
    made = _model(model)
    places = [i for i, row in enumerate(codes) if row is not None and len(row) == made.grid[0] * made.grid[1]]
    found = np.zeros((len(codes), made.size, made.size, made.system.model.channels), np.uint8)
    if places:
        found[places] = made.decode(np.array([codes[i] for i in places], np.int32))
    return found


@functools.cache
def _model(workdir: str) -> CodeModel:
    return CodeModel.load(workdir, "images")


def baselines(train: Sequence[Codes], count: int) -> dict[str, list[list[int]]]:
    """Codes written without looking: the most frequent one of every place, and those of a random training picture."""
    table = np.array(train)
    frequent = [int(np.bincount(column).argmax()) for column in table.T]
    drawn = np.random.default_rng(0).integers(len(table), size=count)
    return {"most frequent codes": [frequent] * count, "random training picture": table[drawn].tolist()}


def listed(codes: Codes | None, first: int = 16) -> str:
    """The first codes as text."""
    return "" if codes is None else " ".join(map(str, codes[:first])) + (" ..." if len(codes) > first else "")
