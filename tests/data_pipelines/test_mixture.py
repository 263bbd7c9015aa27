import numpy as np
import pytest

from data_pipelines.mixture import BLOCK, Mixture, temperature_weights
from unimedvlp.errors import UserError


def test_the_composition_is_the_weights():
    weights = [5.0, 3.0, 1.5, 0.5]
    mixture = Mixture(weights, seed=3)
    chosen = np.array([mixture.choose(i)[0] for i in range(3 * BLOCK)])
    share = np.bincount(chosen) / len(chosen)
    np.testing.assert_allclose(share, np.array(weights) / 10, atol=1 / BLOCK)
    every_batch = np.stack([np.bincount(b, minlength=4) for b in chosen.reshape(-1, 64)]) / 64
    np.testing.assert_allclose(every_batch, np.tile(share, (len(every_batch), 1)), atol=3 / 64)


def test_ordinals_count_each_entry_without_gap_or_repeat():
    mixture = Mixture([0.7, 0.2, 0.1], seed=1)
    seen = {0: [], 1: [], 2: []}
    for i in range(2 * BLOCK):
        entry, ordinal = mixture.choose(i)
        seen[entry].append(ordinal)
    for ordinals in seen.values():
        assert ordinals == list(range(len(ordinals)))


def test_a_choice_depends_on_index_weights_and_seed_alone():
    walked = [Mixture([2, 1], seed=5).choose(i) for i in range(50)]
    one = Mixture([2, 1], seed=5)
    one.choose(10 * BLOCK + 7)
    assert [one.choose(i) for i in reversed(range(50))] == walked[::-1]
    assert [Mixture([2, 1], seed=6).choose(i) for i in range(50)] != walked


def test_a_tiny_weight_is_still_served():
    mixture = Mixture([1e6, 1.0])
    assert mixture.quotas.tolist() == [BLOCK - 1, 1]
    assert Mixture([1.0]).choose(12345) == (0, 12345)


def test_temperature_evens_out_sizes():
    sizes = [10_000, 100]
    np.testing.assert_allclose(temperature_weights(sizes, 1), [100 / 101, 1 / 101])
    np.testing.assert_allclose(temperature_weights(sizes, 2), [10 / 11, 1 / 11])
    np.testing.assert_allclose(temperature_weights(sizes, float("inf")), [0.5, 0.5])


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [1.0, float("nan")], [-1.0]])
def test_weights_must_be_positive_numbers(weights):
    with pytest.raises(UserError, match="positive"):
        Mixture(weights)


def test_a_temperature_below_one_is_refused():
    with pytest.raises(UserError, match="temperature"):
        temperature_weights([1, 2], 0.5)
