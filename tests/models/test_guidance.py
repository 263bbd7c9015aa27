"""Guidance: strength 1 and 0 are the two prompts themselves, and more than 1 favours what the guiding token changes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.models.generate import Beam, Greedy, generate
from unimedvlp.models.guidance import Guide

PROMPT = jnp.array([[3, 4, 1], [1, 5, 4], [4, 6, 3]])
MASK = jnp.ones((3, 3), bool)
HIDDEN = jnp.array([[False, True, False]] * 3)


def write(writer, method, mask=MASK, guide=None):
    extend = partial(writer.model.apply, {"params": writer.params}, method="extend")
    start = partial(writer.model.apply, {"params": writer.params}, method="start")
    cache = start(writer.memory, writer.memory_mask, 3 + 5)
    return generate(extend, cache, PROMPT, mask, max_new=5, method=method, guide=guide)


@pytest.mark.parametrize("method", [Greedy(), Beam(3)])
def test_strengths_one_and_zero_are_the_prompts_themselves(writer, method):
    for strength, mask in ((1.0, MASK), (0.0, MASK & ~HIDDEN)):
        ids, scores = write(writer, method, guide=Guide(HIDDEN, jnp.float32(strength)))
        wanted, wanted_scores = write(writer, method, mask=mask)
        np.testing.assert_array_equal(ids, wanted)
        np.testing.assert_allclose(scores, wanted_scores, atol=1e-4)


def test_the_first_token_follows_the_guided_logits(writer):
    logits = [jax.nn.log_softmax(writer.logits(PROMPT, mask)[:, -1]) for mask in (MASK, MASK & ~HIDDEN)]
    guided = logits[1] + 8.0 * (logits[0] - logits[1])
    ids, _ = write(writer, Greedy(), guide=Guide(HIDDEN, jnp.float32(8.0)))
    np.testing.assert_array_equal(ids[:, 0], guided.argmax(-1))
    assert (guided.argmax(-1) != logits[0].argmax(-1)).any(), "else the test shows nothing"
