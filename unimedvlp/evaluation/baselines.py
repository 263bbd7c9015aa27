"""Trivial baselines: what a system must clear before its numbers mean anything. Text or arrays in, predictions out.

Each sees the training split, two also the validation split to choose by; none sees a test answer. Most see no image:
where one of these wins, the images were not needed.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unimedvlp.errors import UserError

# --- reports ---------------------------------------------------------------------------------------------------------


def most_frequent(train: Sequence[str], count: int) -> list[str]:
    """The most frequent training text, `count` times (the first to reach the highest count). Reports or impressions."""
    return [_most_common(train)] * count


def random_choice(train: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """A training text drawn at random for each of `count` samples."""
    _not_empty(train)
    return [train[index] for index in np.random.default_rng(seed).integers(0, len(train), count)]


def constant_candidates(train: Sequence[str], frequent: int = 150, drawn: int = 150, seed: int = 0) -> list[str]:
    """The `frequent` most frequent training reports and `drawn` others at random, without repeats."""
    _not_empty(train)
    common = [text for text, _ in Counter(train).most_common(frequent)]
    others = sorted(set(train) - set(common))
    chosen = np.random.default_rng(seed).permutation(len(others))[:drawn]
    return common + [others[index] for index in chosen]


def best_constant(
    candidates: Sequence[str], references: Sequence[Sequence[str]], score: Callable[[list[str], Sequence], float]
) -> str:
    """The candidate that scores highest when it is said for every *validation* sample.

    references: of the validation split; score(predictions, references) -> number, for instance
    `lambda p, r: captioning.cider(p, r).point()["cider"]`. Choose once for each metric.
    """
    _not_empty(candidates)
    return max(candidates, key=lambda text: score([text] * len(references), references))


def nearest_image(train_features: np.ndarray, train: Sequence[str], features: np.ndarray) -> list[str]:
    """The report of the training image with the highest cosine. Features [M, D] and [N, D], e.g. of `pixels`."""
    _not_empty(train)
    if len(train_features) != len(train) or train_features.shape[1:] != features.shape[1:]:
        raise UserError(f"{train_features.shape} features, {len(train)} reports, {features.shape} queries do not fit")
    similarity = _unit(features) @ _unit(train_features).T
    return [train[index] for index in similarity.argmax(1)]


def nearest_text(train_texts: Sequence[str], train_answers: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The answer of the training text that is nearest in TF-IDF cosine: nearest question, or nearest findings."""
    _not_empty(train_texts)
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    known = vectorizer.fit_transform(train_texts)
    similarity = (vectorizer.transform(texts) @ known.T).toarray()
    return [train_answers[index] for index in similarity.argmax(1)]


# --- questions -------------------------------------------------------------------------------------------------------


def majority_answer(train_kinds: Sequence[str], train_answers: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The most frequent training answer of the same kind, else of all. A kind: the answer type, or "OPEN ABN", the
    answer type and question type together."""
    overall = _most_common(train_answers)
    groups: dict[str, list[str]] = {}
    for kind, answer in zip(train_kinds, train_answers, strict=True):
        groups.setdefault(kind, []).append(answer)
    best = {kind: _most_common(answers) for kind, answers in groups.items()}
    return [best.get(kind, overall) for kind in kinds]


def question_only(
    train_questions: Sequence[str], train_answers: Sequence[str], questions: Sequence[str], strength: float = 30.0
) -> list[str]:
    """Logistic regression over TF-IDF of 1- and 2-grams, one class a training answer (inverse regularisation C = 30).

    For VQA-RAD a question is "question organ", as the organ is given with the image.
    """
    _not_empty(train_questions)
    return _words_model(strength).fit(train_questions, train_answers).predict(questions).tolist()


# --- texts -----------------------------------------------------------------------------------------------------------


def text_regression(
    train_texts: Sequence[str], train_labels: np.ndarray, texts: Sequence[str], strength: float = 30.0
) -> np.ndarray:
    """Probabilities [N, C] by logistic regression over TF-IDF of 1- and 2-grams; labels [M], columns in sorted order."""
    _not_empty(train_texts)
    return _words_model(strength).fit(train_texts, train_labels).predict_proba(texts)


def text_similarity(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """TF-IDF cosines [N, M] of texts with others; the words are those of `others`."""
    _not_empty(others)
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    known = vectorizer.fit_transform(others)
    return (vectorizer.transform(texts) @ known.T).toarray()


# --- images ----------------------------------------------------------------------------------------------------------


def pixels(images: Sequence[np.ndarray], size: int = 32) -> np.ndarray:
    """float32 [N, size * size] in 0..1: each uint8 image [H, W] or [H, W, C] in grey, area-averaged to size x size."""
    from PIL import Image

    small = [
        np.asarray(Image.fromarray(np.squeeze(image)).convert("L").resize((size, size), Image.Resampling.BOX))
        for image in images
    ]
    return np.stack(small).reshape(len(small), -1).astype(np.float32) / 255


def pixel_regression(
    train_pixels: np.ndarray, train_labels: np.ndarray, test_pixels: np.ndarray, strength: float = 0.01
) -> np.ndarray:
    """Probabilities [N, C] by logistic regression on standardised `pixels`; labels [M] class indices 0..C-1."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    return model.fit(train_pixels, train_labels).predict_proba(test_pixels)


def _words_model(strength: float):
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=strength, max_iter=1000))


def _most_common(texts: Sequence[str]) -> str:
    _not_empty(texts)
    return Counter(texts).most_common(1)[0][0]


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _not_empty(texts: Sequence) -> None:
    if not len(texts):
        raise UserError("a baseline needs at least one training sample")
