import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.generate import Beam, Greedy, TopP, generate, nucleus

EOS, PAD, VOCAB = 2, 0, 11
PROMPT = jnp.array([[3, 4, 1], [1, 3, 4], [4, 1, 1]])
MASK = jnp.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], bool)


@partial(jax.jit, static_argnames=("model", "max_new", "method", "allowed"))
def run(model, params, memory, memory_mask, prompt, mask, rng, max_new, method, allowed):
    extend = partial(model.apply, {"params": params}, method="extend")
    cache = model.apply({"params": params}, memory, memory_mask, prompt.shape[1] + max_new, method="start")
    return generate(extend, cache, prompt, mask, max_new=max_new, method=method, rng=rng, allowed=allowed)


def write(writer, method, max_new=6, prompt=PROMPT, mask=MASK, rng=None, allowed=None):
    return jax.tree.map(np.asarray, run(*writer, prompt, mask, rng, max_new, method, allowed))


def log_probs(writer, row, sequences, room=8):
    """Log-probabilities [n, room + 1, vocab] of what may follow row's prompt and each prefix of sequences [n, <= room].

    Teacher-forced: no cache, no pads inside, one example at a time.
    """
    start = np.asarray(PROMPT[row])[np.asarray(MASK[row])]
    ids = np.zeros((len(sequences), 3 + room), np.int32)
    for i, tokens in enumerate(sequences):
        ids[i, : len(start) + len(tokens)] = [*start, *tokens]
    one = writer.row(row)
    one = one._replace(memory=jnp.repeat(one.memory, len(ids), 0), memory_mask=jnp.repeat(one.memory_mask, len(ids), 0))
    logits = one.logits(jnp.asarray(ids), jnp.ones(ids.shape, bool))
    return np.asarray(jax.nn.log_softmax(logits))[:, len(start) - 1 :]


def greedy_by_hand(writer, row, max_new):
    tokens, score = [], 0.0
    while len(tokens) < max_new and EOS not in tokens:
        last = log_probs(writer, row, [tokens])[0, len(tokens)]
        tokens.append(int(last.argmax()))
        score += last.max()
    return tokens + [PAD] * (max_new - len(tokens)), score


@pytest.mark.parametrize("eos_bias", [0.0, 3.0])
def test_greedy_equals_a_loop_that_recomputes(writer, eos_bias):
    writer = biased(writer, eos_bias)
    ids, scores = write(writer, Greedy())
    expected = [greedy_by_hand(writer, row, 6) for row in range(3)]
    np.testing.assert_array_equal(ids, [tokens for tokens, _ in expected])
    np.testing.assert_allclose(scores, [score for _, score in expected], atol=1e-4)


def biased(writer, amount):
    """The same decoder, likelier to end: the final norm's bias leans towards the row of EOS."""
    norm = writer.params["layers"]["norm"]
    eos = writer.params["tokens"]["embedding"][EOS]
    norm = {**norm, "bias": norm["bias"] + amount * eos / (eos @ eos)}
    return writer._replace(params={**writer.params, "layers": {**writer.params["layers"], "norm": norm}})


def test_after_the_end_come_only_pads(writer):
    ids, _ = write(biased(writer, 4.0), TopP(1.0), 6, rng=jax.random.key(0))
    ended = np.cumsum(ids == EOS, axis=1)
    assert (ids[(ended - (ids == EOS)) > 0] == PAD).all()
    assert (ended[:, -1] == 1).any()


@pytest.mark.parametrize("method", [Beam(1), TopP(1e-6), TopP(1.0, 1e-4)], ids=str)
@pytest.mark.parametrize("eos_bias", [0.0, 3.0])
def test_limits_equal_greedy(writer, method, eos_bias):
    writer = biased(writer, eos_bias)
    ids, scores = write(writer, Greedy())
    same, same_scores = write(writer, method, rng=jax.random.key(4))
    np.testing.assert_array_equal(ids, same)
    length = np.where((ids == EOS).any(1), (ids == EOS).argmax(1) + 1, 6)
    penalty = length**method.length_penalty if isinstance(method, Beam) else 1
    np.testing.assert_allclose(same_scores, scores / penalty, atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_full_beam_finds_the_best_of_all_sequences(small_writer, penalty):
    ids, scores = write(small_writer, Beam(64, penalty), 3)
    every = {
        tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens for tokens in itertools.product(range(5), repeat=3)
    }
    every = sorted(every)
    for row in range(3):
        steps = log_probs(small_writer, row, every)
        total = [sum(steps[i, t, x] for t, x in enumerate(s)) / len(s) ** penalty for i, s in enumerate(every)]
        best = int(np.argmax(total))
        np.testing.assert_array_equal(ids[row], every[best] + (PAD,) * (3 - len(every[best])))
        np.testing.assert_allclose(scores[row], total[best], atol=1e-4)


@pytest.mark.parametrize("method", [Greedy(), Beam(3)], ids=str)
def test_rows_do_not_depend_on_their_batch(writer, method):
    """An example that is done early waits for the others without changing, and order carries over."""
    writer = biased(writer, 3.0)
    ids, scores = write(writer, method)
    assert len(set((ids == EOS).argmax(1))) > 1, "all end at the same step: the test would show nothing"
    order = np.array([2, 0, 1])
    moved, moved_scores = write(moved_to(writer, order), method, prompt=PROMPT[order], mask=MASK[order])
    np.testing.assert_array_equal(moved, ids[order])
    np.testing.assert_allclose(moved_scores, scores[order], atol=1e-5)
    for row in range(3):
        same = np.full(3, row)
        alone, alone_scores = write(moved_to(writer, same), method, prompt=PROMPT[same], mask=MASK[same])
        np.testing.assert_array_equal(alone[0], ids[row])
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-5)


def moved_to(writer, order):
    return writer._replace(memory=writer.memory[order], memory_mask=writer.memory_mask[order])


def test_prompt_pads_say_nothing(writer):
    ids, _ = write(writer, Beam(3))
    other, _ = write(writer, Beam(3), prompt=jnp.where(MASK, PROMPT, 7))
    np.testing.assert_array_equal(ids, other)


def test_nucleus_is_the_smallest_set_that_holds_p():
    probs = jnp.array([[0.1, 0.5, 0.05, 0.35], [0.97, 0.01, 0.01, 0.01]])
    kept = np.isfinite(nucleus(jnp.log(probs), 0.8))
    np.testing.assert_array_equal(kept, [[False, True, False, True], [True, False, False, False]])
    assert np.isfinite(nucleus(jnp.log(probs), 1.0)).all()


def test_samples_follow_the_nucleus(small_writer):
    """First tokens of many draws: only ids of the nucleus, in proportion to their probability."""
    probs = np.exp(log_probs(small_writer, 0, [()])[0, 0])
    p = float(np.sort(probs)[-2:].sum() - 1e-3)
    one = small_writer.row(0)
    one = one._replace(memory=jnp.repeat(one.memory, 2000, 0), memory_mask=jnp.repeat(one.memory_mask, 2000, 0))
    prompt, mask = jnp.repeat(PROMPT[:1], 2000, 0), jnp.repeat(MASK[:1], 2000, 0)
    ids, _ = write(one, TopP(p), 1, prompt, mask, jax.random.key(0))
    nucleus_ids = np.argsort(probs)[-2:]
    assert set(ids[:, 0]) == set(nucleus_ids)
    share = (ids[:, 0] == nucleus_ids[1]).mean()
    np.testing.assert_allclose(share, probs[nucleus_ids[1]] / probs[nucleus_ids].sum(), atol=0.04)


class Alternate:
    """Odd ids at even places and even ids at odd ones, then nothing but EOS from place 5 on."""

    def start(self, batch):
        return jnp.zeros((batch,), jnp.int32)

    def __call__(self, state):
        ids = jnp.arange(VOCAB)
        turn = (ids % 2 != state[:, None] % 2) & (ids != EOS) & (ids != PAD)
        return jnp.where(state[:, None] < 5, turn, ids == EOS)

    def next(self, state, token):
        return state + 1


@pytest.mark.parametrize("method", [Greedy(), TopP(0.9), Beam(3)], ids=str)
def test_a_grammar_is_obeyed(writer, method):
    ids, scores = write(writer, method, 8, rng=jax.random.key(1), allowed=Alternate())
    np.testing.assert_array_equal(ids[:, :5] % 2, np.broadcast_to([1, 0, 1, 0, 1], (3, 5)))
    np.testing.assert_array_equal(ids[:, 5:], np.broadcast_to([EOS, PAD, PAD], (3, 3)))
    assert (ids[:, :5] != PAD).all() and np.isfinite(scores).all()
    expected = [log_probs(writer, r, [row[:6]])[0, np.arange(6), row[:6]].sum() for r, row in enumerate(ids)]
    np.testing.assert_allclose(scores * (6 if isinstance(method, Beam) else 1), expected, atol=1e-3)


def test_compiles_once_per_shape(writer):
    before = run._cache_size()
    write(writer, Beam(3), 5), write(biased(writer, 1.0), Beam(3), 5, PROMPT + 1, ~MASK)
    assert run._cache_size() == before + 1


def test_bad_settings_say_what_to_do(writer):
    with pytest.raises(UserError, match="p must lie in"):
        TopP(0.0)
    with pytest.raises(UserError, match="size must be at least 1"):
        Beam(0)
    with pytest.raises(UserError, match="give it rng"):
        write(writer, TopP(), 2)
    with pytest.raises(UserError, match="cache of 4 tokens is too short"):
        generate(writer.extend, writer.start(4), PROMPT, MASK, max_new=2, method=Greedy())
