"""Beam search over random Markov chains against a plain loop that follows the rule of `beam_search`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.models.beam import beam_search
from unimedvlp.models.cache import Cache

EOS, PAD, VOCAB, BATCH, LENGTH = 2, 0, 7, 64, 6


def plain_beam(chain, size, penalty):
    """chain [V, V]: log-probabilities of the next token; row PAD is the start. The best (score, sequence)."""
    live, finished = [(0.0, [])], []
    for _ in range(LENGTH):
        ranked = sorted(
            (
                (score + chain[seq[-1] if seq else PAD, token], [*seq, token])
                for score, seq in live
                for token in range(VOCAB)
            ),
            reverse=True,
        )[: 2 * size]
        finished += [(score / len(seq) ** penalty, seq) for score, seq in ranked[:size] if seq[-1] == EOS]
        live = [(score, seq) for score, seq in ranked if seq[-1] != EOS][:size]
        best = max(finished)[0] if finished else -np.inf
        behind = best >= live[0][0] / len(live[0][1]) ** penalty
        if (len(finished) >= size and behind) or best >= live[0][0] / LENGTH**penalty:
            return max(finished)
    return max([*finished, (live[0][0] / LENGTH**penalty, live[0][1])])


@pytest.mark.parametrize(("size", "penalty"), [(1, 1.0), (2, 0.0), (3, 1.0), (3, 3.0), (5, 2.0)])
def test_equals_a_plain_loop(size, penalty):
    chains = np.random.default_rng(0).normal(size=(BATCH, VOCAB, VOCAB)).astype(np.float32)
    chains[:, :, EOS] += 0.5
    chains = np.asarray(jax.nn.log_softmax(chains))
    cache = Cache.empty((), jnp.ones((BATCH, 1), bool), LENGTH)

    def extend(ids, mask, cache):
        rows = jnp.arange(BATCH * size) // size
        return jnp.asarray(chains)[rows[:, None], ids], cache

    search = jax.jit(
        partial(beam_search, extend, cache, max_new=LENGTH, size=size, length_penalty=penalty, eos=EOS, pad=PAD)
    )
    ids, scores = search(logits=chains[:, PAD], allowed=None)
    for row, chain in enumerate(chains):
        score, sequence = plain_beam(chain, size, penalty)
        np.testing.assert_allclose(scores[row], score, atol=1e-5)
        np.testing.assert_array_equal(ids[row], sequence + [PAD] * (LENGTH - len(sequence)))
