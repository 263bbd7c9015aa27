"""Local alignment against a plain loop over pairs without any padding."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, softmax

from unimedvlp.objectives.alignment import local_alignment

B, L, N, D = 4, 6, 9, 8
WORDS, PATCHES = (jax.random.normal(jax.random.key(i), (B, n, D)) for i, n in ((0, L), (1, N)))
WORD_MASK = np.arange(L) < np.array([[6], [3], [1], [0]])
PATCH_MASK = np.arange(N) < np.array([[9], [5], [9], [9]])
align = jax.jit(local_alignment)


def normalise(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def one_side(x, y):
    """The formula, for tokens [X, D] against [Y, D]."""
    context = normalise(softmax(x @ y.T / 0.1, axis=1) @ y)
    match = x @ context.T / 0.1
    return -(np.diag(log_softmax(match, axis=1)) + np.diag(log_softmax(match, axis=0))).mean() / 2


def test_equals_a_plain_loop():
    pairs = []
    for b in range(3):  # the last has no words
        words, patches = np.asarray(WORDS[b])[WORD_MASK[b]], np.asarray(PATCHES[b])[PATCH_MASK[b]]
        words, patches = normalise(words), normalise(patches)
        pairs.append((one_side(words, patches) + one_side(patches, words)) / 2)
    loss, metrics = align(WORDS, PATCHES, WORD_MASK, PATCH_MASK)
    np.testing.assert_allclose(loss, np.mean(pairs), rtol=1e-5)
    assert 0 <= metrics["word_accuracy"] <= 1


def test_what_padding_holds_does_not_matter():
    loss, _ = align(WORDS, PATCHES, WORD_MASK, PATCH_MASK)
    words, patches = (jnp.where(m[..., None], x, 5.0) for x, m in ((WORDS, WORD_MASK), (PATCHES, PATCH_MASK)))
    np.testing.assert_allclose(align(words, patches, WORD_MASK, PATCH_MASK)[0], loss, rtol=1e-6)


def test_known_values():
    """Tokens that are all alike cannot be told apart; tokens in pairs of their own are."""
    alike, _ = align(jnp.ones((B, L, D)), jnp.ones((B, N, D)), jnp.ones((B, L), bool))
    np.testing.assert_allclose(alike, (np.log(L) + np.log(N)) / 2, rtol=1e-5)
    own = jnp.tile(jnp.eye(L, D), (B, 1, 1))
    loss, metrics = align(own, own, jnp.ones((B, L), bool))
    assert loss < 1e-3 and metrics["word_accuracy"] == 1
    assert align(WORDS, PATCHES, np.zeros((B, L), bool))[0] == 0


def test_order_of_tokens_does_not_matter():
    order = np.random.default_rng(0).permutation(L)
    shuffled, _ = align(WORDS[:, order], PATCHES, WORD_MASK[:, order], PATCH_MASK)
    np.testing.assert_allclose(shuffled, align(WORDS, PATCHES, WORD_MASK, PATCH_MASK)[0], rtol=1e-5)


def test_gradients_are_finite_and_only_of_real_tokens():
    def loss(words, patches):
        return local_alignment(words, patches, WORD_MASK, PATCH_MASK)[0]

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(WORDS.at[0, 0].set(0), PATCHES)
    for gradient, mask in zip(gradients, (WORD_MASK, PATCH_MASK), strict=True):
        reached = np.abs(gradient).max(axis=-1) > 0
        assert np.isfinite(gradient).all() and (reached[:2] == mask[:2]).all() and not reached[3].any()
