"""Consensus decoding: of many sampled texts, say the one that agrees most with the others.

Minimum Bayes risk decoding (Kumar and Byrne, 2004) with CIDEr as the gain. Beam search says the likeliest text, which for
reports is a common short one; the consensus is what scores best on average if the samples are what may be true.
"""

from collections import Counter
from collections.abc import Sequence

from unimedvlp.evaluation.captioning import Similarity


def consensus(samples: Sequence[str], similarity: Similarity) -> str:
    """The sample with the highest mean similarity to all samples; the first of several. Empty ones are never chosen over
    others."""
    counts = Counter(text for text in samples if text.strip())
    if not counts:
        return ""
    return max(counts, key=lambda text: sum(n * similarity(text, other) for other, n in counts.items()))
