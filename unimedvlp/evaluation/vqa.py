"""Visual question answering: exact match after normalisation, and word overlap for open questions.

Normalisation, in this order: str() of numbers; lower case; hyphens, slashes and underscores become spaces; all other
punctuation goes, except a point or comma inside a number; the articles a, an, the go; number words up to twelve become
digits; white space is squeezed. Nothing else: "left" does not match "left lung".
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import bootstrap

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = {"a", "an", "the"}


def normalise(answer: str | int | float) -> str:
    """The form in which two answers are compared: "The X-ray." -> "x ray", "Two" -> "2", 4 -> "4"."""
    text = re.sub(r"[-/_\u2010-\u2015]", " ", str(answer).lower())
    text = re.sub(r"(?<!\d)[.,]|[.,](?!\d)|[^\w\s.,]", "", text)
    return " ".join(_DIGITS.get(word, word) for word in text.split() if word not in _ARTICLES)


def answer_type(text: str) -> str:
    """ "CLOSED " -> "closed". Raises UserError for anything but open and closed."""
    kind = text.strip().lower()
    if kind not in ("open", "closed"):
        raise UserError(f"answer type {text!r}: expected OPEN or CLOSED")
    return kind


def exact(predictions: Sequence[str | int], answers: Sequence[str | int]) -> np.ndarray:
    """float64 [N], 1 where prediction and answer agree after normalisation."""
    return np.array([float(normalise(p) == normalise(a)) for p, a in zip(predictions, answers, strict=True)])


def overlap(prediction: str | int, answer: str | int) -> tuple[float, float]:
    """Token F1 and recall of one prediction (SQuAD's rule on our normalisation)."""
    said, truth = Counter(normalise(prediction).split()), Counter(normalise(answer).split())
    common = (said & truth).total()
    if not said or not truth:
        return float(said == truth), float(said == truth)
    return 2 * common / (said.total() + truth.total()), common / truth.total()


def accuracy(
    predictions: Sequence[str | int],
    answers: Sequence[str | int],
    types: Sequence[str],
    groups: Sequence[str | int] | None = None,
) -> bootstrap.Metric:
    """accuracy_open, accuracy_closed, accuracy_all, f1_open, recall_open; a type without questions is nan.

    types: OPEN or CLOSED a question. groups: the image of each question; given, intervals redraw images, as the
    questions on one image are not independent.
    """
    if not len(predictions) or not len(predictions) == len(answers) == len(types):
        raise UserError(
            f"{len(predictions)} predictions, {len(answers)} answers, {len(types)} types: need as many of each"
        )
    is_open = np.array([answer_type(kind) == "open" for kind in types])
    hits = exact(predictions, answers)
    f1, recall = np.array([overlap(p, a) for p, a in zip(predictions, answers, strict=True)]).T
    return bootstrap.means(
        {
            "accuracy_open": np.where(is_open, hits, np.nan),
            "accuracy_closed": np.where(is_open, np.nan, hits),
            "accuracy_all": hits,
            "f1_open": np.where(is_open, f1, np.nan),
            "recall_open": np.where(is_open, recall, np.nan),
        },
        None if groups is None else np.asarray(groups),
    )
