"""Batch standardisation against flax's BatchNorm, and its running statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta

from unimedvlp.models.standardise import Standardise

X = jax.random.normal(jax.random.key(0), (6, 3, 4)) * 2 + 1
MASK = jnp.ones((6, 3), bool)
MODEL = Standardise(momentum=0.9)
PARAMS = meta.unbox(MODEL.init(jax.random.key(0), X, MASK))


def test_equals_batch_norm_in_training_and_in_use():
    peer = nn.BatchNorm(use_running_average=False, momentum=0.9, epsilon=1e-4, use_bias=False, use_scale=False)
    flat = X.reshape(6, -1)
    theirs, updated = peer.init_with_output(jax.random.key(0), flat)
    theirs, updated = peer.apply({"batch_stats": updated["batch_stats"]}, flat, mutable=["batch_stats"])
    ours, new = MODEL.apply(PARAMS, X, MASK, deterministic=False)
    np.testing.assert_allclose(ours.reshape(6, -1), theirs, atol=1e-4)
    np.testing.assert_allclose(new["mean"], 0.1 * X.mean(0), rtol=1e-4, atol=1e-6)
    used, same = MODEL.apply({"params": new}, X, MASK)
    np.testing.assert_allclose(used, (X - new["mean"]) / np.sqrt(new["variance"] + 1e-4), atol=1e-5)
    np.testing.assert_allclose(same["mean"], new["mean"], rtol=1e-6)


def test_masked_tokens_neither_count_nor_speak():
    mask = MASK.at[4:, 1].set(False).at[1:, 2].set(False)
    ours, new = MODEL.apply(PARAMS, X, mask, deterministic=False)
    changed, again = MODEL.apply(PARAMS, jnp.where(mask[..., None], X, 77.0), mask, deterministic=False)
    np.testing.assert_array_equal(ours, changed)
    np.testing.assert_array_equal(new["variance"], again["variance"])
    assert not ours[4:, 1].any()
    np.testing.assert_allclose(ours[:4, 1].mean(0), 0, atol=1e-5)
    np.testing.assert_array_equal(new["mean"][2], PARAMS["params"]["mean"][2])  # one row is no statistic


def test_statistics_have_no_gradient():
    grads = jax.grad(lambda p: MODEL.apply(p, X, MASK, deterministic=False)[0].sum())(PARAMS)
    assert not any(np.any(g) for g in jax.tree.leaves(grads))
