"""Mask losses against scipy, scikit-learn and plain formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from sklearn.metrics import f1_score, log_loss

from unimedvlp.objectives import masks

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 4, 30)).astype(np.float32)
TARGETS = (RNG.random((2, 3, 30)) > 0.5).astype(np.float32)


def test_sampling_equals_scipy():
    maps, points = RNG.random((3, 2, 7, 9)).astype(np.float32), RNG.random((3, 20, 2)).astype(np.float32)
    found = jax.jit(masks.sample_points)(maps, points)
    for b in range(3):
        grid = points[b].T * np.array([[7], [9]]) - 0.5
        expected = [map_coordinates(m, grid, order=1, mode="nearest") for m in maps[b]]
        np.testing.assert_allclose(found[b].T, expected, rtol=1e-4, atol=1e-5)


def test_sampling_at_pixel_centres_and_of_bytes():
    pixels = jnp.arange(12, dtype=jnp.uint8).reshape(1, 3, 4)
    centres = np.stack(np.meshgrid((np.arange(3) + 0.5) / 3, (np.arange(4) + 0.5) / 4, indexing="ij"), axis=-1)
    found = jax.jit(masks.sample_points)(pixels, centres.reshape(-1, 2))
    np.testing.assert_allclose(found[:, 0], np.arange(12), atol=1e-5)


def test_uncertain_points_lie_where_logits_are_small():
    rows = jnp.linspace(-8, 8, 32)[None, :, None] * jnp.array([1.0, 1.0])[:, None, None]
    logits = jnp.broadcast_to(rows, (2, 32, 32))
    points = jax.jit(masks.uncertain_points, static_argnums=2)(jax.random.key(0), logits, 100)
    assert points.shape == (2, 100, 2) and ((points >= 0) & (points <= 1)).all()
    off = jnp.abs(points[..., 0] - 0.5)
    assert off[:, :75].max() < 0.2 and off[:, 75:].max() > 0.3


def test_losses_equal_scikit_learn():
    logits = LOGITS[:, :3]
    probabilities, hard = np.asarray(jax.nn.sigmoid(logits)), (logits > 0).astype(np.float32)

    def rows(metric, x):
        return [[metric(TARGETS[b, k], x[b, k]) for k in range(3)] for b in range(2)]

    np.testing.assert_allclose(masks.point_bce(logits, TARGETS), rows(log_loss, probabilities), rtol=1e-5)
    sizes = hard.sum(-1) + TARGETS.sum(-1)  # dice is 1 - F1, but for the 1 above and below
    expected = 1 - (np.array(rows(f1_score, hard)) * sizes + 1) / (sizes + 1)
    np.testing.assert_allclose(masks.dice(hard, TARGETS), expected, rtol=1e-5)


def test_focal_loss():
    p = np.asarray(jax.nn.sigmoid(LOGITS[:, :3]), np.float64)
    each = np.where(TARGETS > 0, -0.25 * (1 - p) ** 2 * np.log(p), -0.75 * p**2 * np.log(1 - p))
    np.testing.assert_allclose(masks.focal(LOGITS[:, :3], TARGETS), each.mean(-1), rtol=1e-4)


def points_first(pairwise):
    return lambda a, b: pairwise(a.swapaxes(1, 2), b.swapaxes(1, 2))


def test_all_pairs_equal_single_ones():
    probabilities, boxes = jax.nn.sigmoid(LOGITS), jnp.asarray(RNG.random((2, 3, 4)), jnp.float32)
    maps = LOGITS.reshape(2, 4, 5, 6)
    for pairwise, paired, a, b in (
        (points_first(masks.pairwise_bce), masks.point_bce, LOGITS, TARGETS),
        (points_first(masks.pairwise_dice), masks.dice, probabilities, TARGETS),
        (masks.pairwise_projection, masks.projection, maps, boxes),
    ):
        expected = jax.jit(paired)(a[:, :, None], b[:, None])
        np.testing.assert_allclose(jax.jit(pairwise)(a, b), expected, rtol=1e-4, atol=1e-6)


def test_known_values():
    np.testing.assert_allclose(masks.point_bce(jnp.zeros((1, 8), jnp.bfloat16), jnp.ones((1, 8))), np.log(2), rtol=1e-6)
    assert masks.dice(jnp.zeros(8), jnp.zeros(8)) == masks.dice(jnp.ones(8), jnp.ones(8)) == 0
    np.testing.assert_allclose(masks.dice(jnp.ones(8), jnp.zeros(8)), 8 / 9, rtol=1e-6)


@pytest.mark.parametrize("box", [[0.25, 0.5, 0.75, 1.0], [0.3, 0.1, 0.3, 0.1]])
def test_projection_wants_the_mask_to_fill_its_box(box):
    box = jnp.array(box)
    rows, columns = masks.box_profiles(box, 8, 16)
    np.testing.assert_allclose(rows.sum() / 8, box[2] - box[0], atol=1e-6)
    filled = 40 * (rows[:, None] * columns[None, :]) - 20
    assert masks.projection(filled, box) < 1e-5
    np.testing.assert_array_less(0.3, masks.projection(-filled, box))


def test_gradients_of_saturated_masks_are_finite():
    @jax.jit
    @jax.grad
    def gradient(logits):
        points = masks.uncertain_points(jax.random.key(0), logits, 12)
        sampled = masks.sample_points(logits[:, None], points)[..., 0]
        targets = jnp.ones_like(sampled)
        terms = masks.point_bce(sampled, targets) + masks.dice(jax.nn.sigmoid(sampled), targets)
        return (terms + masks.focal(sampled, targets) + masks.projection(logits, jnp.array([0.0, 0, 1, 1]))).sum()

    for value in (-1e4, 0.0, 1e4):
        assert jnp.isfinite(gradient(jnp.full((2, 6, 6), value))).all()
