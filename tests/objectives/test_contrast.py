"""Contrastive losses against optax, at their known values; duplicates and missing pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from unimedvlp.objectives import contrast

B, D = 12, 16
A, T = (contrast.unit(jax.random.normal(jax.random.key(i), (B, D))) for i in range(2))
info_nce, sigmoid_loss = jax.jit(contrast.info_nce), jax.jit(contrast.sigmoid_loss)


def test_info_nce_equals_optax():
    logits = 10 * np.asarray(A) @ np.asarray(T).T
    each = [optax.softmax_cross_entropy_with_integer_labels(x, jnp.arange(B)).mean() for x in (logits, logits.T)]
    loss, metrics = info_nce(A, T, 10.0)
    np.testing.assert_allclose(loss, sum(each) / 2, rtol=1e-5)
    hits = [np.mean(x.argmax(axis=1) == np.arange(B)) for x in (logits, logits.T)]
    np.testing.assert_allclose(metrics["contrast_accuracy"], np.mean(hits), rtol=1e-6)


def test_sigmoid_loss_equals_optax():
    logits = 10 * np.asarray(A) @ np.asarray(T).T - 10
    expected = optax.sigmoid_binary_cross_entropy(logits, jnp.eye(B)).sum() / B
    np.testing.assert_allclose(sigmoid_loss(A, T, 10.0, -10.0), expected, rtol=1e-5)


def test_known_values():
    a, b = (contrast.unit(jax.random.normal(jax.random.key(i), (256, 128))) for i in range(2))
    loss, _ = info_nce(a, b, 1 / 0.07)
    np.testing.assert_allclose(loss, np.log(256) + 1 / (2 * 128 * 0.07**2), rtol=0.03)
    np.testing.assert_allclose(info_nce(a, b, 0.0)[0], np.log(256), rtol=1e-5)
    np.testing.assert_allclose(sigmoid_loss(a, b, 0.0, 0.0), 256 * np.log(2), rtol=1e-5)
    loss, metrics = info_nce(a, a, 100.0)
    assert loss < 1e-3 and metrics["contrast_accuracy"] == 1 and loss.dtype == jnp.float32


def test_duplicates_are_positives_of_each_other():
    once, groups = jnp.arange(B) // 2, jnp.arange(B) // 2
    a, b = A[once], T[once]
    logits = 10 * a @ b.T
    share = (groups[:, None] == groups) / 2
    expected = sum(optax.softmax_cross_entropy(x, share).mean() for x in (logits, logits.T)) / 2
    np.testing.assert_allclose(info_nce(a, b, 10.0, groups=groups)[0], expected, rtol=1e-5)
    half, _ = info_nce(A[: B // 2], T[: B // 2], 10.0)
    np.testing.assert_allclose(expected, half + np.log(2), rtol=1e-5)
    twice = sigmoid_loss(a, b, 10.0, -10.0, groups=groups)
    np.testing.assert_allclose(twice, 2 * sigmoid_loss(A[: B // 2], T[: B // 2], 10.0, -10.0), rtol=1e-5)


def test_examples_without_a_pair_do_not_exist():
    valid = jnp.arange(B) % 3 > 0
    junk = jnp.where(valid[:, None], A, 7.0)
    np.testing.assert_allclose(
        info_nce(junk, T, 10.0, valid=valid)[0], info_nce(A[valid], T[valid], 10.0)[0], rtol=1e-5
    )
    kept = sigmoid_loss(A[valid], T[valid], 10.0, -3.0)
    np.testing.assert_allclose(sigmoid_loss(junk, T, 10.0, -3.0, valid=valid), kept, rtol=1e-5)
    assert info_nce(A, T, 10.0, valid=jnp.zeros(B, bool))[0] == 0


def test_order_does_not_matter():
    order = jax.random.permutation(jax.random.key(2), B)
    np.testing.assert_allclose(info_nce(A[order], T[order], 10.0)[0], info_nce(A, T, 10.0)[0], rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_are_finite(scale):
    def loss(a, log_scale):
        scale = contrast.logit_scale(log_scale)
        a = contrast.unit(a)
        return contrast.info_nce(a, T, scale)[0] + contrast.sigmoid_loss(a, T, scale, -10.0)

    a = scale * A.at[0].set(0)
    for gradient in jax.jit(jax.grad(loss, argnums=(0, 1)))(a, jnp.log(scale)):
        assert jnp.isfinite(gradient).all()


def test_temperature_is_bounded():
    assert contrast.logit_scale(jnp.float32(9)) == 100
    np.testing.assert_allclose(contrast.logit_scale(jnp.float32(np.log(1 / 0.07))), 1 / 0.07, rtol=1e-6)
