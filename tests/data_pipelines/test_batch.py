"""Sequences in a batch: what is read, what is to be said, and how much it counts."""

import numpy as np

from data_pipelines.batch import BatchSpec, Example, Tally, collate
from unimedvlp.tokens.sequences import Sequence

SPEC = BatchSpec(image_size=4, views=1, channels=1, text_length=1, prompt_length=3, response_length=8)


def row(*parts):
    return Example(np.zeros(SPEC.image_shape, np.uint8), np.ones(1, bool), parts, 0, 0, 0)


def test_targets_and_weights_of_a_sequence_reach_the_batch_at_their_places():
    noisy = Sequence([], [1, 18], [5, 6, 2], target=[5, 4, 2], weight=[1.0, 0.5, 0.1], dropped=3)
    plain = Sequence([], [1], [7, 2])
    tally = Tally()
    batch = collate([row(noisy, plain), row(plain, noisy)], SPEC, tally)
    assert batch["response"].tolist() == [[5, 6, 2, 1, 7, 2, 0, 0], [7, 2, 1, 18, 5, 6, 2, 0]]
    assert batch["target"].tolist() == [[5, 4, 2, 1, 7, 2, 0, 0], [7, 2, 1, 18, 5, 4, 2, 0]]
    weights = [[1, 0.5, 0.1, 0, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0.5, 0.1, 0]]
    np.testing.assert_allclose(batch["response_weight"], weights)
    assert tally.counts == {"object or outline without a place in the response": 6}


def test_all_of_a_cut_response_is_cut():
    long = Sequence([], [1], list(range(10, 22)), target=list(range(30, 42)), weight=[0.5] * 12)
    batch = collate([row(long)], SPEC)
    assert batch["target"][0].tolist() == list(range(30, 38))
    np.testing.assert_allclose(batch["response_weight"], 0.5)
