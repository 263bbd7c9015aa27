"""One head for all tasks that choose, equal texts, and covered patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from unimedvlp.objectives.choices import choice_logits, choice_loss
from unimedvlp.objectives.contrast import NEVER
from unimedvlp.objectives.masked import cover_patches
from unimedvlp.objectives.same_texts import same_texts
from unimedvlp.tokens.vocabulary import BOS, CLASS_START, EOS, NEG, POS

CLASSES, C = 3, 5
LOGITS = np.random.default_rng(0).normal(size=(4, C)).astype(np.float32)
# a class; two findings in one row; a written answer; a class that does not count
BATCH = {
    "prompt": np.array([[BOS, 16, 0], [BOS, 17, CLASS_START + 1], [BOS, 24, 5000], [BOS, 16, 0]]),
    "prompt_mask": np.array([[1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 0]], bool),
    "response": np.array(
        [
            [CLASS_START + 2, EOS, 0, 0, 0],
            [POS, EOS, CLASS_START, NEG, EOS],
            [5001, EOS, 0, 0, 0],
            [CLASS_START, EOS, 0, 0, 0],
        ]
    ),
    "response_weight": np.array([[1, 1, 0, 0, 0], [1, 1, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], np.float32),
}


def test_loss_equals_its_two_parts():
    loss, metrics = choice_loss(jnp.asarray(LOGITS), BATCH, CLASSES)
    chosen = -log_softmax(LOGITS[0, :CLASSES])[2]
    found = (np.log1p(np.exp(-LOGITS[1, 1])) + np.log1p(np.exp(LOGITS[1, 0]))) / 2
    assert loss == pytest.approx(chosen + found, rel=1e-5)
    right = ((LOGITS[1, 1] > 0) + (LOGITS[1, 0] <= 0)) / 2
    assert metrics["finding_accuracy"] == right


def test_known_values_at_zero_and_without_any_choice():
    loss, _ = choice_loss(jnp.zeros((4, C)), BATCH, CLASSES)
    assert loss == pytest.approx(np.log(CLASSES) + np.log(2), rel=1e-5)
    nothing = BATCH | {"response_weight": np.zeros((4, 5), np.float32)}
    assert choice_loss(jnp.asarray(LOGITS), nothing, CLASSES)[0] == 0


def test_scores_of_the_first_token():
    scores = choice_logits(jnp.asarray(LOGITS), BATCH, 6000)
    np.testing.assert_array_equal(scores[:, CLASS_START : CLASS_START + C], LOGITS)
    np.testing.assert_array_equal(scores[:, POS], [0, LOGITS[1, 1], 0, 0])
    assert (scores[:, NEG] == 0).all() and (scores[:, 5000:] == NEVER).all()


def test_equal_texts_get_equal_numbers_whatever_the_padding():
    rng = np.random.default_rng(0)
    ids = rng.integers(4096, 4200, (300, 12))
    mask = np.arange(12) < rng.integers(1, 12, (300, 1))
    other = np.where(mask, ids, 7)
    numbers = np.asarray(same_texts(jnp.asarray(ids), mask))
    np.testing.assert_array_equal(numbers, same_texts(jnp.asarray(other), mask))
    assert len(set(numbers.tolist())) == len({tuple(row[m]) for row, m in zip(ids, mask, strict=True)})


def test_covered_patches_hold_nothing_of_the_image():
    image = jax.random.randint(jax.random.key(0), (2, 8, 12, 1), 0, 255).astype(jnp.uint8)
    hidden = jnp.array([[1, 0, 0, 1, 0, 1], [0] * 6], bool)
    covered = cover_patches(image, hidden, 4)
    assert covered.dtype == jnp.uint8 and (covered[0, :4, :4] == 128).all() and (covered[0, 4:, 8:] == 128).all()
    np.testing.assert_array_equal(covered[0, :4, 4:], image[0, :4, 4:])
    np.testing.assert_array_equal(covered[1], image[1])
