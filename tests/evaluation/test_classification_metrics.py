import numpy as np
import pytest
from sklearn import metrics as sk

from unimedvlp.errors import UserError
from unimedvlp.evaluation import classification


@pytest.fixture
def multilabel():
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 4)) < [0.5, 0.2, 0.4, 0.0]).astype(float)
    scores = np.round(np.clip(labels * 0.3 + rng.random((80, 4)) * 0.7, 0, 1), 1)  # rounded: many ties
    labels[rng.random((80, 4)) < 0.1] = np.nan
    return labels, scores, ["a", "b", "c", "never"]


def test_multiclass_equals_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    probabilities = rng.dirichlet(np.ones(4), 200) + np.eye(4)[labels] * 0.3
    probabilities /= probabilities.sum(1, keepdims=True)
    point = classification.multiclass(labels, probabilities, list("abcd")).point()
    chosen = probabilities.argmax(1)
    assert point["accuracy"] == pytest.approx(sk.accuracy_score(labels, chosen))
    assert point["f1_macro"] == pytest.approx(sk.f1_score(labels, chosen, average="macro"))
    assert point["auroc_macro"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert point["undefined_columns"] == 0


def test_multilabel_equals_scikit_learn_on_known_labels(multilabel):
    labels, scores, names = multilabel
    thresholds = np.array([0.5, 0.4, 0.6, 0.5])
    values = classification.multilabel(labels, scores, thresholds, names).values(50)
    for g, name in enumerate(names[:3]):
        known = ~np.isnan(labels[:, g])
        true, said = labels[known, g], scores[known, g] >= thresholds[g]
        assert values[f"auroc/{name}"].value == pytest.approx(sk.roc_auc_score(true, scores[known, g]))
        assert values[f"f1/{name}"].value == pytest.approx(sk.f1_score(true, said))
        assert values[f"auroc/{name}"].count == known.sum()
    assert np.isnan(values["auroc/never"].value)
    assert values["undefined_columns"].value == 1
    assert values["auroc_macro"].value == pytest.approx(np.mean([values[f"auroc/{n}"].value for n in "abc"]))


def test_weighted_auroc_is_the_auroc_of_the_resample(multilabel):
    labels, scores, _ = multilabel
    known = ~np.isnan(labels[:, 0])
    true, said = labels[known, 0], scores[known, 0]
    drawn = np.random.default_rng(1).integers(0, len(true), (5, len(true)))
    weights = np.stack([np.bincount(row, minlength=len(true)) for row in drawn]).astype(float)
    expected = [sk.roc_auc_score(true[row], said[row]) for row in drawn]
    np.testing.assert_allclose(classification.weighted_auroc(true, said, weights), expected)


def test_thresholds_are_the_best_for_f1(multilabel):
    labels, scores, _ = multilabel
    thresholds = classification.choose_thresholds(labels, scores)
    assert thresholds[3] == 0.5
    known = ~np.isnan(labels[:, 0])
    best = max(sk.f1_score(labels[known, 0], scores[known, 0] >= cut) for cut in np.unique(scores))
    assert sk.f1_score(labels[known, 0], scores[known, 0] >= thresholds[0]) == pytest.approx(best)


def test_perfect_and_unknown():
    labels = np.array([0, 1, 2, np.nan])
    point = classification.multiclass(labels, np.eye(4)[[0, 1, 2, 0]][:, :3], list("abc")).point()
    assert point["accuracy"] == point["f1_macro"] == point["auroc_macro"] == 1


def test_bad_shapes_are_named():
    with pytest.raises(UserError, match="3 class names"):
        classification.multiclass(np.zeros(2), np.zeros((2, 2)), list("abc"))
    with pytest.raises(UserError, match="not finite"):
        classification.multiclass(np.zeros(2), np.full((2, 2), np.nan), list("ab"))
    with pytest.raises(UserError, match="do not fit"):
        classification.multilabel(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(2), list("ab"))
