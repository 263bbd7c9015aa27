"""The text protocol under which IU X-Ray report generation is published (R2Gen, Chen et al. 2020), in our words.

A report becomes lower-case sentences without punctuation, joined by " . " and ended by " .". Words that the training
reports hold fewer than `threshold` times become <unk>; references are cut at 60 words.
"""

import re
from collections import Counter
from collections.abc import Iterable

UNKNOWN = "<unk>"

_PUNCTUATION = re.compile(r"""[.,?;*!%^&_+():<=>@\[\]{}"'/\\]""")


def clean_r2gen(text: str) -> str:
    """Clean one report: "The heart is normal. No effusion." -> "the heart is normal . no effusion ."

    List numbers ("1. ") go, runs of full stops count as one, hyphens stay, all other punctuation goes without leaving
    a space ("and/or" -> "andor"), as the protocol has it. Text without a word gives "".
    """
    text = re.sub(r"\.{2,}", ".", text.replace("\n", " "))
    text = re.sub(r"\.? [2-5]\. ", ". ", text.replace("1. ", "")).strip().lower()
    sentences = [_PUNCTUATION.sub("", sentence).strip() for sentence in text.split(". ")]
    return " ".join(f"{' . '.join(sentences)} .".split()) if any(sentences) else ""


def vocabulary(cleaned: Iterable[str], threshold: int = 3) -> frozenset[str]:
    """Words that the cleaned training reports hold at least `threshold` times, and UNKNOWN."""
    counts = Counter(word for text in cleaned for word in text.split())
    return frozenset(word for word, count in counts.items() if count >= threshold) | {UNKNOWN}


def reference(cleaned: str, words: frozenset[str], limit: int = 60) -> str:
    """The reference that is scored: rare words replaced, cut at `limit` words."""
    return " ".join(word if word in words else UNKNOWN for word in cleaned.split()[:limit])
