"""Boxes against a plain loop over pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp import boxes

RNG = np.random.default_rng(0)


def random_boxes(count):
    corners = np.sort(RNG.random((count, 2, 2)), axis=1)
    return corners.reshape(count, 4).astype(np.float32)


def reference(a, b):
    """(iou, giou) of two boxes, after Rezatofighi et al."""
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    union = sum(area) - inter
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inter / union, inter / union - (hull - union) / hull


def test_pairs_equal_a_plain_loop():
    a, b = random_boxes(6), random_boxes(5)
    expected = np.array([[reference(x, y) for y in b] for x in a])
    np.testing.assert_allclose(boxes.pairwise(boxes.iou, a, b), expected[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(boxes.pairwise(boxes.giou, a, b), expected[..., 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(boxes.giou(a[:5], b), expected[:5, :, 1].diagonal(), rtol=1e-5, atol=1e-6)


def test_known_values():
    a = jnp.array([0.0, 0.0, 0.5, 0.5])
    assert boxes.iou(a, a) == boxes.giou(a, a) == 1 and boxes.l1(a, a) == 0
    assert boxes.iou(a, a + 0.5) == 0 and boxes.giou(a, a + 0.5) == -0.5
    np.testing.assert_allclose(boxes.l1(a, jnp.array([0.1, 0.0, 0.5, 0.5])), 0.05 + 0.1, rtol=1e-6)


def test_formats_are_inverse():
    corners = random_boxes(9)
    np.testing.assert_allclose(boxes.to_corners(boxes.to_centres(corners)), corners, atol=1e-6)
    np.testing.assert_allclose(boxes.to_centres(jnp.array([0.2, 0.1, 0.6, 0.3])), [0.4, 0.2, 0.4, 0.2], rtol=1e-6)


@pytest.mark.parametrize("measure", [boxes.iou, boxes.giou, boxes.l1])
def test_boxes_without_area_are_finite(measure):
    empty = jnp.array([[0.3, 0.3, 0.3, 0.3], [0.5, 0.5, 0.2, 0.1], [0.1, 0.1, 0.1, 0.9]])  # a point, inverted, a line
    other = jnp.array([[[0.3, 0.3, 0.3, 0.3]], [[0.0, 0.0, 1.0, 1.0]]])

    @jax.jit
    @jax.value_and_grad
    def total(empty):
        return measure(empty, other).sum()

    value, gradient = total(empty)
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
    if measure is not boxes.l1:
        values = measure(empty, other)
        assert ((values >= -1) & (values <= 0)).all()


def test_tight_boxes_of_masks():
    masks = np.zeros((3, 8, 10), bool)
    masks[0, 2:5, 3:4] = masks[1] = True
    np.testing.assert_allclose(boxes.tight(masks), [[2 / 8, 0.3, 5 / 8, 0.4], [0, 0, 1, 1], [0, 0, 0, 0]], rtol=1e-6)
