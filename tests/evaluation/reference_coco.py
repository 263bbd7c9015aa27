"""BLEU, ROUGE-L and CIDEr written down a second time, plainly and slowly, from their definitions."""

import math
from collections import Counter


def grams(text, n):
    words = text.split()
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(predictions, references):
    """Corpus BLEU-1..4; precision (matches + 1e-15) / (guesses + 1e-9), brevity penalty on the closest lengths."""
    said = true = 0
    matches, guesses = [0] * 4, [0] * 4
    for prediction, texts in zip(predictions, references, strict=True):
        length = len(prediction.split())
        said += length
        true += sorted((abs(len(text.split()) - length), len(text.split())) for text in texts)[0][1]
        for n in range(1, 5):
            allowed = Counter()
            for text in texts:
                allowed |= grams(text, n)
            matches[n - 1] += sum((grams(prediction, n) & allowed).values())
            guesses[n - 1] += sum(grams(prediction, n).values())
    penalty = math.exp(1 - true / said) if said < true else 1.0
    scores, product = [], 1.0
    for n in range(4):
        product *= (matches[n] + 1e-15) / (guesses[n] + 1e-9)
        scores.append(penalty * product ** (1 / (n + 1)))
    return scores


def longest(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def rouge_l(prediction, texts):
    said = prediction.split()
    if not said:
        return 0.0
    precision = max(longest(said, text.split()) / len(said) for text in texts)
    recall = max(longest(said, text.split()) / len(text.split()) for text in texts)
    return (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if precision * recall else 0.0


def cider(predictions, references):
    """Clipped TF-IDF cosine of each order, times exp(-(length difference)^2 / 72), mean of orders and references, x 10."""
    documents = len(references)
    scores = []
    for prediction, texts in zip(predictions, references, strict=True):
        total = 0.0
        for text in texts:
            gap = sum(grams(prediction, 2).values()) - sum(grams(text, 2).values())
            for n in range(1, 5):
                ours, theirs = tfidf(prediction, n, references, documents), tfidf(text, n, references, documents)
                size = math.sqrt(sum(v * v for v in ours.values())) * math.sqrt(sum(v * v for v in theirs.values()))
                dot = sum(min(ours[gram], theirs[gram]) * theirs[gram] for gram in ours if gram in theirs)
                total += (dot / size if size else 0.0) * math.exp(-gap * gap / 72)
        scores.append(10 * total / 4 / len(texts))
    return scores


def tfidf(text, n, references, documents):
    weights = {}
    for gram, count in grams(text, n).items():
        holding = sum(any(gram in grams(other, n) for other in texts) for texts in references)
        weights[gram] = count * (math.log(documents) - math.log(max(1, holding)))
    return weights
