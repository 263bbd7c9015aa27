"""Hard negatives are negatives, and hard; matching starts at ln 2."""

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.objectives.matching_pairs import hard_negatives, matching_loss

B = 6
draw, score = jax.jit(hard_negatives), jax.jit(matching_loss)


def test_positives_and_missing_pairs_are_never_drawn():
    groups, valid = jnp.array([0, 0, 1, 2, 3, 4]), jnp.array([1, 1, 1, 1, 1, 0], bool)
    logits = 50 * (groups[:, None] == groups).astype(jnp.float32)  # positives are by far the most alike
    for seed in range(20):
        texts, images, found = draw(jax.random.key(seed), logits, groups=groups, valid=valid)
        np.testing.assert_array_equal(found, valid)
        for drawn in (texts, images):
            assert (groups[drawn] != groups)[found].all() and valid[drawn][found].all()


def test_drawn_like_the_softmax_of_the_rest():
    logits = jax.random.normal(jax.random.key(0), (B, B))
    texts, images, _ = draw(jax.random.key(1), jnp.broadcast_to(logits, (20_000, B, B)))
    for drawn, rows in ((texts, logits), (images, logits.T)):
        odds = np.exp(np.asarray(rows)) * (1 - np.eye(B))
        share = (np.asarray(drawn)[..., None] == np.arange(B)).mean(axis=0)
        np.testing.assert_allclose(share, odds / odds.sum(axis=1, keepdims=True), atol=0.02)


def test_a_single_group_has_no_negatives():
    _, _, found = draw(jax.random.key(0), jnp.zeros((B, B)), groups=jnp.zeros(B, jnp.int32))
    assert not found.any()


def test_known_values():
    match, valid = jnp.arange(B) % 2 > 0, jnp.arange(B) < 4
    loss, _ = score(jnp.zeros((B, 2), jnp.bfloat16), match)
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
    logits = 40.0 * jax.nn.one_hot(match.astype(jnp.int32), 2)
    loss, metrics = score(logits, match)
    assert loss < 1e-6 and metrics["matching_accuracy"] == 1
    wrong = jnp.where(valid[:, None], logits, -logits)
    assert score(wrong, match, valid)[0] < 1e-6
    assert jnp.isfinite(jax.jit(jax.grad(lambda x: matching_loss(x, match)[0]))(-1e4 * logits)).all()
