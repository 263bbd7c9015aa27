import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError

T, VOCAB = 8, 11


@pytest.fixture(scope="module")
def ids():
    return jax.random.randint(jax.random.key(7), (3, T), 1, VOCAB)


FULL = jnp.ones((3, T), bool)
LENGTHS = jnp.array([[8], [5], [3]])


def test_logits_are_float32_and_tied(decoder, ids):
    logits = decoder.logits(ids, FULL)
    assert logits.shape == (3, T, VOCAB) and logits.dtype == jnp.float32
    hidden = decoder.call("hidden", ids, FULL, decoder.memory, decoder.memory_mask)
    np.testing.assert_allclose(logits, hidden @ decoder.params["tokens"]["embedding"].T, atol=1e-4)
    part = decoder.call("logits", hidden[:, 2:5])
    np.testing.assert_allclose(part, logits[:, 2:5], atol=1e-5)


def test_later_tokens_change_nothing_before_them(decoder, ids):
    change = decoder.logits(ids.at[:, 5].set(VOCAB - ids[:, 5]), FULL) - decoder.logits(ids, FULL)
    np.testing.assert_array_equal(change[:, :5], 0)
    assert (np.abs(change[:, 5:]).max((1, 2)) > 1e-3).all()


def test_pads_say_nothing_on_either_side(decoder, ids):
    right = jnp.arange(T) < LENGTHS
    out = decoder.logits(ids, right)
    np.testing.assert_allclose(decoder.logits(jnp.where(right, ids, 0), right)[right], out[right], atol=1e-5)
    left = right[:, ::-1]
    shifted = jnp.stack([jnp.roll(row, T - n) for row, n in zip(ids, LENGTHS[:, 0], strict=True)])
    np.testing.assert_allclose(decoder.logits(shifted, left)[left], out[right], atol=1e-5)


def test_hidden_memory_says_nothing_and_the_rest_does(decoder, ids):
    out = decoder.logits(ids, FULL)
    seen = decoder.memory_mask[:, :, None]
    noise = jax.random.normal(jax.random.key(3), decoder.memory.shape)
    np.testing.assert_allclose(
        decoder._replace(memory=jnp.where(seen, decoder.memory, noise)).logits(ids, FULL), out, atol=1e-5
    )
    changed = decoder._replace(memory=jnp.where(seen, noise, decoder.memory)).logits(ids, FULL)
    assert (np.abs(changed - out).max((1, 2)) > 1e-2).all()


def test_batch_order_carries_over(decoder, ids):
    order = jnp.array([2, 0, 1])
    moved = decoder._replace(memory=decoder.memory[order], memory_mask=decoder.memory_mask[order])
    mask = jnp.arange(T) < LENGTHS
    np.testing.assert_allclose(moved.logits(ids[order], mask[order]), decoder.logits(ids, mask)[order], atol=1e-5)


def test_packed_segments_equal_separate_sequences(decoder, ids):
    segments = jnp.broadcast_to(jnp.array([0, 0, 0, 1, 1, 1, 1, 1]), (3, T))
    packed = decoder.logits(ids, FULL, segment_ids=segments)
    np.testing.assert_allclose(packed[:, :3], decoder.logits(ids[:, :3], FULL[:, :3]), atol=1e-5)
    np.testing.assert_allclose(packed[:, 3:], decoder.logits(ids[:, 3:], FULL[:, 3:]), atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("prompt", [1, 4])
def test_cached_steps_equal_teacher_forcing(decoder, ids, side, prompt):
    lengths = jnp.minimum(LENGTHS, prompt)
    mask = jnp.arange(prompt) < lengths if side == "right" else jnp.arange(prompt) >= prompt - lengths
    mask = jnp.concatenate([mask, FULL[:, prompt:]], axis=1)
    expected = decoder.logits(ids, mask)
    out, cache = decoder.extend(ids[:, :prompt], mask[:, :prompt], decoder.start(T + 2))
    steps = [out]
    for t in range(prompt, T):
        out, cache = decoder.extend(ids[:, t : t + 1], mask[:, t : t + 1], cache)
        steps.append(out)
    np.testing.assert_allclose(jnp.concatenate(steps, 1)[mask], expected[mask], atol=1e-4)
    assert int(cache.used) == T and cache.length == T + 2


def test_cached_chunks_equal_teacher_forcing(decoder, ids):
    first, cache = decoder.extend(ids[:, :3], FULL[:, :3], decoder.start(T))
    second, _ = decoder.extend(ids[:, 3:], FULL[:, 3:], cache)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), decoder.logits(ids, FULL), atol=1e-4)


def test_too_long_is_refused(decoder):
    with pytest.raises(UserError, match="17 tokens, the decoder was made for 16"):
        decoder.start(17)
    with pytest.raises(UserError, match="17 tokens"):
        decoder.logits(jnp.ones((3, 17), jnp.int32), jnp.ones((3, 17), bool))
