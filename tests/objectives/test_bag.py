"""Bag of tokens: targets of a hand-made row, known values, and what is unknown costs nothing."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.preprocessing import StandardScaler

from unimedvlp.objectives.bag import bag_loss, bag_targets, standardise
from unimedvlp.tokens.vocabulary import BOS, EOS, NEG, POS, TEXT_START

V = TEXT_START + 10
LAST = jnp.array([65, 128, 65])
RESPONSE = jnp.array(
    [
        [TEXT_START + 1, TEXT_START + 1, TEXT_START + 3, EOS, BOS, 17, 65, 130, POS, EOS],
        [NEG, EOS, BOS, 17, 65, 131, POS, EOS, 0, 0],
        [140, EOS, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
)
WEIGHTS = jnp.array([[1, 1, 1, 1, 0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]])
TARGETS = bag_targets(LAST, RESPONSE, WEIGHTS, V)
ALL = jnp.ones(3, bool)


def test_targets_of_packed_rows():
    words = np.zeros((3, V))
    words[0, [TEXT_START + 1, TEXT_START + 3]] = 0.5
    np.testing.assert_array_equal(TARGETS["words"], words)
    named = {
        name: [tuple(map(int, place)) for place in np.argwhere(TARGETS[name])] for name in ("positive", "negative")
    }
    assert named == {"positive": [(0, 130), (1, 131), (2, 140)], "negative": [(1, 128)]}


def test_known_values_at_zero_logits():
    words, classes = bag_loss(jnp.zeros((3, V)), TARGETS, ALL)
    np.testing.assert_allclose([words, classes], [np.log(10), np.log(2)], rtol=1e-6)
    assert words.dtype == classes.dtype == jnp.float32


def test_perfect_logits_and_absent_rows():
    logits = 60.0 * TARGETS["positive"] - 60.0 * TARGETS["negative"] + 60.0 * (TARGETS["words"] > 0)
    words, classes = bag_loss(logits, TARGETS, ALL)
    np.testing.assert_allclose([words, classes], [np.log(2), 0], atol=1e-5)  # two words share the row
    assert bag_loss(jnp.ones((3, V)), TARGETS, jnp.zeros(3, bool)) == (0, 0)
    unknown = jnp.zeros((3, V)).at[:, 200].set(5.0)  # a class that nobody asked for
    assert bag_loss(unknown, TARGETS, ALL)[1] == bag_loss(jnp.zeros((3, V)), TARGETS, ALL)[1]


def test_standardise_equals_scikit_learn_and_ignores_absent_rows():
    features = jax.random.normal(jax.random.key(0), (7, 4)) * 3 + 5
    present = jnp.array([1, 1, 1, 1, 1, 0, 0], bool)
    expected = StandardScaler().fit_transform(features[:5])
    np.testing.assert_allclose(standardise(features, present)[:5], expected, atol=1e-4)
    changed = features.at[5:].set(99.0)
    np.testing.assert_array_equal(standardise(changed, present)[:5], standardise(features, present)[:5])
