"""UniDCP's prompt terms at their known values."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import entropy

from unimedvlp.objectives.contrast import unit
from unimedvlp.objectives.prompts import prompt_terms

B, S, D = 24, 64, 256
IMAGE, TEXT, KEYS = (unit(jax.random.normal(jax.random.key(i), (n, D))) for i, n in enumerate((B, B, S)))
COSINES = IMAGE @ KEYS.T, TEXT @ KEYS.T
terms_of = jax.jit(prompt_terms, static_argnums=2)


def test_equal_scipy():
    terms, metrics = terms_of(*COSINES, (3, 5))
    image, text = (softmax(np.asarray(x, np.float64) / 0.1, axis=1) for x in COSINES)
    overlap = np.sqrt(image) @ np.sqrt(text).T / 0.1
    share = np.mean([logsumexp(overlap, axis=axis) - np.diag(overlap) for axis in (0, 1)])
    np.testing.assert_allclose(terms["share"], share, rtol=1e-4)
    pulled = [1 - np.sort(x, axis=1)[:, -k:].mean() for x, k in zip(COSINES, (3, 5), strict=True)]
    np.testing.assert_allclose(terms["pull"], np.mean(pulled), rtol=1e-5)
    balance = [np.log(S) - entropy(x.mean(axis=0)) for x in (image, text)]
    np.testing.assert_allclose(terms["balance"], np.mean(balance), rtol=1e-4)
    first = [np.argmax(np.asarray(x), axis=1) for x in COSINES]
    np.testing.assert_allclose(metrics["prompt_agreement"], np.mean(first[0] == first[1]), rtol=1e-6)
    np.testing.assert_allclose(metrics["prompt_usage"], len({*first[0], *first[1]}) / S, rtol=1e-6)


def test_known_values():
    flat, _ = terms_of(jnp.zeros((B, S)), jnp.zeros((B, S)), (1, 1))
    np.testing.assert_allclose(flat["share"], np.log(B), rtol=1e-5)  # agreement that tells no study from another
    same, metrics = terms_of(COSINES[0], COSINES[0], (1, 1))
    assert same["share"] < flat["share"] - 0.5 and metrics["prompt_agreement"] == 1
    collapsed = jnp.zeros((B, S)).at[:, 3].set(1.0)
    one, metrics = terms_of(collapsed, collapsed, (1, 1), temperature=0.01)
    np.testing.assert_allclose(one["balance"], np.log(S), rtol=1e-4)
    assert one["pull"] == 0 and metrics["prompt_usage"] == 1 / S
    own, _ = terms_of(jnp.eye(B, S), jnp.eye(B, S), (1, 1), temperature=0.02)
    assert own["share"] < 1e-6
    alike, _ = terms_of(jnp.eye(B, S), jnp.eye(B, S)[::-1], (1, 1), temperature=0.02, groups=jnp.zeros(B, int))
    np.testing.assert_allclose(alike["share"], 50 * (1 - 1 / B), rtol=1e-4)  # all are one study, and seldom overlap
    even, metrics = terms_of(jnp.eye(S), jnp.eye(S), (1, 1), temperature=0.01)
    assert abs(even["balance"]) < 1e-4 and metrics["prompt_usage"] == 1


def test_studies_without_both_modalities_do_not_count():
    valid = np.arange(B) % 3 > 0
    junk = [jnp.where(valid[:, None], x, 0.5) for x in COSINES]
    expected = terms_of(*(x[valid] for x in COSINES), (3, 5))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), terms_of(*junk, (3, 5), valid=valid), expected
    )
    terms, _ = terms_of(*COSINES, (3, 5), valid=np.zeros(B, bool))
    assert all(value == 0 for value in terms.values())


def test_every_term_gives_a_finite_gradient_to_queries_and_keys():
    def loss(name, temperature):
        def value(image, text, keys):
            return prompt_terms(image @ keys.T, text @ keys.T, (3, 5), temperature=temperature)[0][name]

        return jax.jit(jax.grad(value, argnums=(0, 1, 2)))

    for name in ("share", "pull", "balance"):
        for gradient in loss(name, 0.1)(IMAGE, TEXT, KEYS):
            assert jnp.isfinite(gradient).all() and jnp.abs(gradient).max() > 0
    for gradient in loss("balance", 1e-3)(IMAGE, TEXT, KEYS):
        assert jnp.isfinite(gradient).all()
