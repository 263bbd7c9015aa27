"""BLEU-1..4, ROUGE-L and CIDEr as COCO-caption computes them, on whitespace tokens.

BLEU: Papineni et al. 2002, closest reference length, corpus level. ROUGE-L: Lin 2004, beta 1.2, best precision and best
recall over the references. CIDEr: Vedantam et al. 2015 in the form of COCO-caption's `Cider` class: n-grams of 1 to 4,
clipped counts, a Gaussian penalty on the difference in length (sigma 6), times 10. Its document frequencies come from
the references that are scored; they stay fixed when samples are redrawn for an interval.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import bootstrap

ORDERS = 4
_TINY, _SMALL = 1e-15, 1e-9  # keep a corpus without matches at a score of about 0 instead of undefined


def bleu(predictions: Sequence[str], references: Sequence[Sequence[str]], groups=None) -> bootstrap.Metric:
    """Corpus BLEU: bleu_1 .. bleu_4. predictions: N texts; references: N lists of one or more texts."""
    return bootstrap.totals(bleu_statistics(predictions, references), _bleu_score, groups)


def rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]], groups=None) -> bootstrap.Metric:
    """rouge_l: the mean of the samples' scores."""
    return bootstrap.means({"rouge_l": rouge_l_values(predictions, references)}, groups)


def cider(predictions: Sequence[str], references: Sequence[Sequence[str]], groups=None) -> bootstrap.Metric:
    """cider: the mean of the samples' scores (0 to 10)."""
    return bootstrap.means({"cider": cider_values(predictions, references)}, groups)


def bleu_statistics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """float64 [N, 10]: clipped matches of order 1..4, n-grams of order 1..4, length, closest reference length."""
    rows = []
    for prediction, texts in _pairs(predictions, references):
        grams = _ngrams(prediction)
        length = len(prediction.split())
        matches = [0] * ORDERS
        for gram, count in grams.items():
            matches[len(gram) - 1] += min(count, max(_ngrams(text)[gram] for text in texts))
        closest = min((len(text.split()) for text in texts), key=lambda size: (abs(size - length), size))
        rows.append([*matches, *(max(0, length - order) for order in range(ORDERS)), length, closest])
    return np.array(rows, np.float64)


def rouge_l_values(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """float64 [N], each in 0..1; an empty prediction scores 0."""
    return np.array([_rouge_l(prediction, texts) for prediction, texts in _pairs(predictions, references)])


def cider_values(predictions: Sequence[str], references: Sequence[Sequence[str]], sigma: float = 6.0) -> np.ndarray:
    """float64 [N], each in 0..10; an empty prediction scores 0."""
    pairs = list(_pairs(predictions, references))
    frequency = Counter(gram for _, texts in pairs for gram in set().union(*map(_ngrams, texts)))
    log_samples = math.log(len(pairs))

    @functools.cache
    def vector(text: str) -> tuple[dict[tuple[str, ...], float], np.ndarray, int]:
        """TF-IDF of every n-gram, the norm of each order, and the length counted in bigrams."""
        counts = _ngrams(text)
        weights = {gram: n * (log_samples - math.log(max(1, frequency[gram]))) for gram, n in counts.items()}
        squares = np.zeros(ORDERS)
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight**2
        return weights, np.sqrt(squares), sum(n for gram, n in counts.items() if len(gram) == 2)

    def similarity(prediction: str, text: str) -> float:
        (ours, our_norm, our_length), (theirs, their_norm, their_length) = vector(prediction), vector(text)
        dots = [0.0] * ORDERS
        for gram in ours.keys() & theirs.keys():
            dots[len(gram) - 1] += min(ours[gram], theirs[gram]) * theirs[gram]
        norms = our_norm * their_norm
        cosine = np.divide(dots, norms, out=np.zeros(ORDERS), where=norms > 0)
        return cosine.mean() * math.exp(-((our_length - their_length) ** 2) / (2 * sigma**2))

    return np.array([10 * np.mean([similarity(prediction, text) for text in texts]) for prediction, texts in pairs])


def _bleu_score(sums: np.ndarray) -> dict[str, np.ndarray]:
    matches, guesses, length, closest = sums[:, :4], sums[:, 4:8], sums[:, 8], sums[:, 9]
    precision = (matches + _TINY) / (guesses + _SMALL)
    mean = np.cumprod(precision, axis=1) ** (1 / np.arange(1, ORDERS + 1))
    penalty = np.exp(np.minimum(0, 1 - (closest + _SMALL) / (length + _TINY)))
    return {f"bleu_{order + 1}": mean[:, order] * penalty for order in range(ORDERS)}


def _rouge_l(prediction: str, texts: Sequence[str], beta: float = 1.2) -> float:
    words = prediction.split()
    if not words:
        return 0.0
    common = [(_lcs(words, text.split()), len(text.split())) for text in texts]
    precision = max(length for length, _ in common) / len(words)
    recall = max(length / size for length, size in common)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision) if precision and recall else 0.0


def _lcs(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyro 2004): bit i is 0 where the row's value rises."""
    positions: dict[str, int] = {}
    for index, word in enumerate(first):
        positions[word] = positions.get(word, 0) | 1 << index
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        hit = row & positions.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(first) - row.bit_count()


@functools.lru_cache(maxsize=20_000)
def _ngrams(text: str) -> Counter[tuple[str, ...]]:
    """Counts of all n-grams of order 1 to 4."""
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1))


def _pairs(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    if not len(predictions) or len(predictions) != len(references):
        raise UserError(
            f"need as many predictions as references, above 0: got {len(predictions)} and {len(references)}"
        )
    for index, (prediction, texts) in enumerate(zip(predictions, references, strict=True)):
        if isinstance(texts, str) or not texts or not all(text.split() for text in texts):
            raise UserError(f"sample {index}: references must be a list of one or more texts that are not empty")
        yield prediction, texts
