import jax.numpy as jnp
import numpy as np

from unimedvlp.models.cache import Cache, LayerCache, slots_last, slots_second


def test_hypotheses_see_the_tokens_of_their_own_past():
    """Random turns of a search with K = 3, followed by hand: slot (s, j) holds the token (s, j)."""
    rng, examples, beams, length = np.random.default_rng(0), 2, 3, 6
    cache = Cache.empty((), jnp.ones((examples, 1), bool), length)
    prompt = np.array([[True, True], [False, True]])
    cache, sees = cache.admit(jnp.asarray(prompt))
    np.testing.assert_array_equal(np.asarray(sees[:, -1, :2]), prompt)
    cache = cache.replace(used=cache.used + 2).repeat(beams)
    pasts = [[[(s, 0) for s in range(2) if row[s]] for _ in range(beams)] for row in prompt]
    for step in range(2, length):
        parents = rng.integers(0, beams, (examples, beams))
        cache = cache.reorder(jnp.asarray((parents + beams * np.arange(examples)[:, None]).reshape(-1)))
        cache, sees = cache.admit(jnp.ones((examples * beams, 1), bool))
        cache = cache.replace(used=cache.used + 1)
        pasts = [[[*past[p], (step, k)] for k, p in enumerate(row)] for past, row in zip(pasts, parents, strict=True)]
        for seen, past in zip(np.asarray(sees).reshape(examples, beams, length, beams), pasts, strict=True):
            assert [list(zip(*map(list, np.nonzero(x)), strict=True)) for x in seen] == past


def test_tokens_of_a_turn_lie_behind_each_other():
    """Two examples of K = 2 write T = 2 tokens after the first: slot s * K + k is token s of hypothesis k."""
    new = jnp.arange(2 * 2 * 2 * 3 * 4, dtype=jnp.float32).reshape(4, 2, 3, 4)
    for examples in (1, 2):
        slots = slots_last(jnp.zeros((examples, 8, 3, 4)))
        layer = LayerCache({}, slots, slots, slots, slots)
        written = slots_second(layer.append(new[: 2 * examples], -new[: 2 * examples], jnp.int32(1)).keys)
        for row in range(examples):
            expected = [new[2 * row + k, t] for t in range(2) for k in range(2)]
            np.testing.assert_array_equal(written[row, 2:6], expected)
            assert not written[row, :2].any() and not written[row, 6:].any()
