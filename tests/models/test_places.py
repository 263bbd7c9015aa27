import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from unimedvlp.models.places import decided

START, COUNT = 7, 1000
COORDINATES = slice(START, START + COUNT)


def logits_of(likely):
    rest = jax.random.normal(jax.random.key(0), (START + COUNT + 20,))
    return rest.at[COORDINATES].set(jnp.log(jnp.asarray(likely) + 1e-12))


def test_a_decision_leaves_the_other_tokens_and_the_sum_alone():
    logits = jax.random.normal(jax.random.key(1), (2, 3, START + COUNT + 20))
    before, after = jax.nn.softmax(logits), jax.nn.softmax(decided(logits, START, COUNT))
    np.testing.assert_allclose(after[..., COORDINATES].sum(-1), before[..., COORDINATES].sum(-1), rtol=1e-4)
    np.testing.assert_allclose(after[..., :START], before[..., :START], rtol=1e-4)
    np.testing.assert_allclose(after[..., COORDINATES.stop :], before[..., COORDINATES.stop :], rtol=1e-4)


@pytest.mark.parametrize(("border", "expected"), [(0.1, 300), (0.95, 0)])
def test_a_border_counts_as_much_as_an_edge_that_is_spread_over_many_tokens(border, expected):
    spread = norm.pdf(np.arange(COUNT), 300, 30) * (1 - border)
    spread[0] += border
    logits = logits_of(spread)
    assert jnp.argmax(logits[COORDINATES]) == 0  # what the likeliest token is
    assert abs(int(jnp.argmax(decided(logits, START, COUNT)[COORDINATES])) - expected) <= 1


def test_a_vocabulary_without_coordinates_stays():
    logits = jnp.arange(12.0)
    np.testing.assert_array_equal(decided(logits, 0, 0), logits)
