"""Retrieval: recall as scikit-learn and a plain loop have it, ties, equal texts, and the order after matching."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from unimedvlp.evaluation import retrieval


def scores_of(size=40, seed=0):
    return np.random.default_rng(seed).normal(size=(size, size))


def point(predictions):
    return retrieval.recall(predictions).point()


def test_recall_equals_scikit_learn_and_a_plain_loop():
    scores, texts = scores_of(), [f"text {i}" for i in range(40)]
    found = point(retrieval.ranked({"": scores}, texts))
    for k in retrieval.AT:
        labels = np.arange(40)
        assert found[f"image_to_text_r{k}"] == pytest.approx(top_k_accuracy_score(labels, scores, k=k, labels=labels))
        assert found[f"text_to_image_r{k}"] == pytest.approx(top_k_accuracy_score(labels, scores.T, k=k, labels=labels))
        by_hand = np.mean([i in np.argsort(-scores[i])[:k] for i in range(40)])
        assert found[f"image_to_text_r{k}"] == pytest.approx(by_hand)


def test_a_system_that_scores_all_alike_finds_nothing():
    found = point(retrieval.ranked({"": np.zeros((40, 40))}, [f"text {i}" for i in range(40)]))
    assert set(found.values()) == {0.0}


def test_equal_texts_are_one_answer_in_both_directions():
    texts = ["normal", "normal", "nodule"]
    scores = np.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.7], [0.0, 0.3, 0.2]])
    predictions = retrieval.ranked({"": scores}, texts)
    assert [p["image_to_text"] for p in predictions] == [1, 1, 2]
    assert [p["text_to_image"] for p in predictions] == [1, 1, 3]


def test_order_of_samples_does_not_matter():
    scores, texts = scores_of(12), [f"text {i % 7}" for i in range(12)]
    order = np.random.default_rng(1).permutation(12)
    turned = retrieval.ranked({"": scores[np.ix_(order, order)]}, [texts[i] for i in order])
    assert turned == [retrieval.ranked({"": scores}, texts)[i] for i in order]


def test_matching_orders_the_first_anew_and_leaves_the_rest_behind():
    scores = scores_of(10)
    chosen = retrieval.candidates(scores, 3)
    assert (chosen[:, 0] == scores.argmax(1)).all()
    matches = np.tile([0.1, 0.2, 0.9], (10, 1))
    order = np.argsort(-retrieval.reranked(scores, chosen, matches), axis=1)
    np.testing.assert_array_equal(order[:, :3], chosen[:, ::-1])
    np.testing.assert_array_equal(order[:, 3:], np.argsort(-scores, axis=1)[:, 3:])


def test_kinds_and_intervals():
    scores, texts = scores_of(), [f"text {i}" for i in range(40)]
    predictions = retrieval.ranked({"": scores, "matched/": (np.eye(40), np.eye(40))}, texts)
    values = retrieval.recall(predictions, np.arange(40)).values(resamples=50)
    assert values["matched/image_to_text_r1"].value == values["matched/text_to_image_r1"].low == 1
    assert values["image_to_text_r10"].low <= values["image_to_text_r10"].value <= values["image_to_text_r10"].high
    assert set(retrieval.NAMES) < set(values)
