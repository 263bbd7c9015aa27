"""Retrieval among all samples of a split, image i belonging to text i.

Texts that are word for word the same are one answer: each of them is right for the image, each of their images is right for
the text. The rank of a query is that of its best right answer, behind every wrong one of the same score: a system that scores
all alike finds nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from unimedvlp.evaluation import bootstrap

AT = (1, 5, 10)
DIRECTIONS = ("image_to_text", "text_to_image")
NAMES = tuple(f"{direction}_r{k}" for direction in DIRECTIONS for k in AT)


def ranks(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """int [Q]: the rank, from 1, of the best relevant item of each query; scores float and relevant bool [Q, G]."""
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((scores >= best) & ~relevant).sum(axis=1)


def ranked(scores: Mapping[str, np.ndarray], texts: Sequence[str]) -> list[dict[str, int]]:
    """Predictions {name: rank} of each sample in both directions, for every kind of scores [N images, N texts].

    Kinds are prefixes of the names: "" and "matched/". Scores of a direction may differ: then a pair of matrices, both with
    images as rows.
    """
    _, group = np.unique(np.asarray(texts, object).astype(str), return_inverse=True)
    relevant = group[:, None] == group[None, :]
    columns = {}
    for kind, given in scores.items():
        forward, backward = given if isinstance(given, tuple) else (given, given)
        columns[f"{kind}image_to_text"] = ranks(forward, relevant)
        columns[f"{kind}text_to_image"] = ranks(backward.T, relevant)
    return [{name: int(column[i]) for name, column in columns.items()} for i in range(len(texts))]


def candidates(scores: np.ndarray, count: int) -> np.ndarray:
    """int [Q, count]: the items of highest score of each query, best first; equal ones in their order."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def reranked(scores: np.ndarray, chosen: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """Scores [Q, G] in which the `chosen` items [Q, k] come first, in the order of `matches` [Q, k] in 0..1."""
    scores = scores.astype(np.float64) - scores.max() - 1
    np.put_along_axis(scores, chosen, matches, axis=1)
    return scores


def recall(predictions: Sequence[Mapping[str, int]], groups: np.ndarray | None = None) -> bootstrap.Metric:
    """Recall at 1, 5 and 10: how often the rank is no larger, by direction and kind; `groups` [N] as in `bootstrap`.

    Resampling draws queries; what they are ranked among stays.
    """
    names = predictions[0]
    columns = {name: np.array([prediction[name] for prediction in predictions]) for name in names}
    return bootstrap.means({f"{name}_r{k}": columns[name] <= k for name in names for k in AT}, groups)
