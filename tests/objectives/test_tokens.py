"""Token loss against optax, at its known values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from unimedvlp.objectives.tokens import token_loss, weigh

LOGITS = jax.random.normal(jax.random.key(0), (3, 5, 11))
TARGETS = jax.random.randint(jax.random.key(1), (3, 5), 0, 11)
WEIGHTS = jnp.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], jnp.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_optax(smoothing):
    labels = optax.smooth_labels(jax.nn.one_hot(TARGETS, 11), smoothing)
    each = optax.softmax_cross_entropy(LOGITS, labels)
    loss, _ = token_loss(LOGITS, TARGETS, WEIGHTS, smoothing=smoothing)
    np.testing.assert_allclose(loss, (each * WEIGHTS).sum() / 7, rtol=1e-5)
    loss, _ = token_loss(LOGITS, TARGETS, WEIGHTS, smoothing=smoothing, per="example")
    np.testing.assert_allclose(loss, (each[0].mean() + each[1, :2].mean()) / 2, rtol=1e-5)


def test_known_values():
    uniform, metrics = token_loss(jnp.zeros((3, 5, 11), jnp.bfloat16), TARGETS, WEIGHTS)
    np.testing.assert_allclose(uniform, np.log(11), rtol=1e-6)
    assert uniform.dtype == jnp.float32
    perfect, metrics = token_loss(100 * jax.nn.one_hot(TARGETS, 11), TARGETS, WEIGHTS)
    assert perfect < 1e-6 and metrics["token_accuracy"] == 1
    assert token_loss(LOGITS, TARGETS, jnp.zeros_like(WEIGHTS))[0] == 0


def test_padding_changes_nothing():
    changed = jnp.where(WEIGHTS > 0, TARGETS, 0)
    assert token_loss(LOGITS, changed, WEIGHTS)[0] == token_loss(LOGITS, TARGETS, WEIGHTS)[0]


def test_weigh_logs_raw_and_weighted():
    total, logged = weigh({"a": jnp.float32(2), "b": jnp.float32(3)}, {"b": 0.5})
    assert total == 3.5 and logged["loss/b"] == 3 and logged["weighted/b"] == 1.5
    with pytest.raises(ValueError, match="unknown loss terms"):
        weigh({"a": jnp.float32(2)}, {"c": 1.0})
