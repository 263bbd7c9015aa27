"""The set criterion: known values, matching by scipy, what must not matter, objects and images half known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax

from unimedvlp import boxes
from unimedvlp.objectives.detection import WEIGHTS, set_criterion

N, B, Q, K, C, SIZE = 2, 3, 6, 4, 5, 8
RNG = np.random.default_rng(0)
RECTANGLES = np.sort(RNG.integers(0, SIZE, (B, K, 2, 2)), axis=2) + np.array([[0, 0], [1, 1]])
PREDICTIONS = {
    "class": RNG.normal(size=(N, B, Q, C + 1)).astype(np.float32),
    "mask": RNG.normal(size=(N, B, Q, SIZE, SIZE)).astype(np.float32),
    "box": np.sort(RNG.random((N, B, Q, 2, 2)), axis=3).reshape(N, B, Q, 4).astype(np.float32),
}
TARGETS = {
    "class": RNG.integers(0, C, (B, K)).astype(np.int32),
    "box": (RECTANGLES / SIZE).reshape(B, K, 4).astype(np.float32),
    "mask": np.zeros((B, K, SIZE, SIZE), np.uint8),
    "object_mask": np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], bool),
    "has_mask": np.ones((B, K), bool),
    "annotated": np.ones(B, bool),
}
OF_OBJECTS = ("class", "box", "mask", "object_mask", "has_mask")
for index in np.ndindex(B, K):
    (top, left), (bottom, right) = RECTANGLES[index]
    TARGETS["mask"][index][top:bottom, left:right] = 1


@jax.jit
def criterion(predictions, targets):
    """Many points, so that their choice hardly matters."""
    return set_criterion(predictions, targets, jax.random.key(0), points=4000)


@jax.jit
def gradients(predictions, targets):
    """Of the weighted sum of all terms."""

    def total(predictions):
        terms, _ = criterion(predictions, targets)
        return sum(WEIGHTS[name] * value for name, value in terms.items())

    return jax.grad(total)(predictions)


def perfect():
    """Predictions that say exactly what the targets are, objects in reversed order of queries."""
    best = {name: np.zeros_like(x) for name, x in PREDICTIONS.items()}
    best["class"][..., C] = 50
    for b, k in zip(*np.nonzero(TARGETS["object_mask"]), strict=True):
        best["class"][:, b, Q - 1 - k] = 50 * np.eye(C + 1)[TARGETS["class"][b, k]]
        best["mask"][:, b, Q - 1 - k] = np.where(TARGETS["mask"][b, k], 50, -50)
        best["box"][:, b, Q - 1 - k] = TARGETS["box"][b, k]
    return best


def test_known_values():
    terms, _ = criterion({name: np.zeros_like(x) for name, x in PREDICTIONS.items()}, TARGETS)
    np.testing.assert_allclose(terms["class"], N * np.log(C + 1), rtol=1e-5)
    np.testing.assert_allclose(terms["mask"], N * np.log(2), rtol=1e-5)
    assert terms["projection"] == 0 and terms["giou"] >= N  # an empty box touches nothing


def test_perfect_predictions_cost_nothing_and_find_their_queries():
    terms, matched = criterion(perfect(), TARGETS)
    expected = np.where(TARGETS["object_mask"], Q - 1 - np.arange(K), Q)
    np.testing.assert_array_equal(matched, np.broadcast_to(expected, (N, B, K)))
    for name in ("class", "l1", "giou"):
        np.testing.assert_allclose(terms[name], 0, atol=1e-5)
    assert terms["dice"] < 0.25 * N  # points between two pixels are half inside


def test_boxes_and_classes_equal_a_plain_loop():
    predictions = {name: PREDICTIONS[name] for name in ("class", "box")}
    terms, matched = criterion(predictions, TARGETS)
    assert set(terms) == {"class", "l1", "giou"}
    all_pairs = jax.jit(lambda a, b: (boxes.pairwise(boxes.l1, a, b), boxes.pairwise(boxes.giou, a, b)))
    l1, giou = map(np.asarray, all_pairs(predictions["box"], TARGETS["box"][None]))
    log_p = log_softmax(predictions["class"], axis=-1)
    wanted = np.broadcast_to(TARGETS["class"][None, :, None], l1.shape)
    cost = 5 * l1 - 2 * giou - 2 * np.take_along_axis(np.exp(log_p), wanted, axis=-1)
    expected = dict.fromkeys(terms, 0.0)
    for n in range(N):
        labels, weight, pairs = np.full((B, Q), C), np.full((B, Q), 0.1), []
        for b in range(B):
            real = np.flatnonzero(TARGETS["object_mask"][b])
            for q, k in zip(*linear_sum_assignment(cost[n, b][:, real]), strict=True):
                assert matched[n, b, real[k]] == q
                labels[b, q], weight[b, q] = TARGETS["class"][b, real[k]], 1
                pairs.append((l1[n, b, q, real[k]], 1 - giou[n, b, q, real[k]]))
        picked = np.take_along_axis(log_p[n], labels[..., None], axis=-1)[..., 0]
        expected["class"] -= (picked * weight).sum() / weight.sum()
        expected["l1"], expected["giou"] = (expected["l1"], expected["giou"]) + np.mean(pairs, axis=0)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4)


def test_order_of_queries_and_objects_does_not_matter():
    q, k = RNG.permutation(Q), RNG.permutation(K)
    terms, matched = criterion(PREDICTIONS, TARGETS)
    targets = TARGETS | {name: TARGETS[name][:, k] for name in OF_OBJECTS}
    again, shuffled = criterion({name: x[:, :, q] for name, x in PREDICTIONS.items()}, targets)
    np.testing.assert_array_equal(np.append(q, Q)[shuffled], matched[:, :, k])
    for name in ("class", "l1", "giou"):
        np.testing.assert_allclose(again[name], terms[name], rtol=1e-5)
    for name in ("mask", "dice"):  # at other random points
        np.testing.assert_allclose(again[name], terms[name], rtol=0.05)


def test_what_padding_holds_does_not_matter():
    junk = {name: TARGETS[name].copy() for name in OF_OBJECTS}
    for name in {*OF_OBJECTS} - {"object_mask"}:
        junk[name][~TARGETS["object_mask"]] = 1
    jax.tree.map(np.testing.assert_array_equal, criterion(PREDICTIONS, TARGETS | junk), criterion(PREDICTIONS, TARGETS))


def test_how_many_places_are_empty_does_not_matter():
    empty = {name: np.zeros_like(TARGETS[name][:, :2]) for name in OF_OBJECTS}
    roomy = TARGETS | {name: np.concatenate([TARGETS[name], x], axis=1) for name, x in empty.items()}
    terms, _ = criterion(PREDICTIONS, TARGETS)
    for name, value in criterion(PREDICTIONS, roomy)[0].items():
        np.testing.assert_allclose(value, terms[name], rtol=1e-5, err_msg=name)


def test_objects_with_only_a_box_teach_by_their_outline():
    targets = TARGETS | {"has_mask": np.zeros((B, K), bool), "mask": np.zeros_like(TARGETS["mask"])}
    terms, matched = criterion(perfect(), targets)
    assert terms["mask"] == terms["dice"] == 0 and terms["projection"] < 1e-4
    np.testing.assert_array_equal(matched[0, 0], Q - 1 - np.arange(K))
    assert criterion(PREDICTIONS, targets)[0]["projection"] > 0.1


def test_images_without_annotations_teach_nothing():
    negative = gradients(PREDICTIONS, TARGETS)["class"]
    unknown = gradients(PREDICTIONS, TARGETS | {"annotated": np.array([True, True, False])})["class"]
    assert jnp.abs(negative[:, 2]).min() > 0 and (unknown[:, 2] == 0).all() and jnp.abs(unknown[:, :2]).min() > 0
    nothing = {"annotated": np.zeros(B, bool), "object_mask": np.zeros((B, K), bool)}
    assert all(value == 0 for value in criterion(PREDICTIONS, TARGETS | nothing)[0].values())


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_are_finite_and_reach_every_prediction(scale):
    predictions = {name: x if name == "box" else scale * x for name, x in PREDICTIONS.items()}
    half = np.broadcast_to(np.arange(K) % 2 > 0, (B, K))
    for name, gradient in gradients(predictions, TARGETS | {"has_mask": half}).items():
        assert jnp.isfinite(gradient).all() and (scale > 1 or jnp.abs(gradient).sum() > 0), name


def test_more_objects_than_queries_is_an_error():
    with pytest.raises(ValueError, match="4 object slots need as many queries, the cost has 3"):
        set_criterion({"class": jnp.zeros((1, B, 3, C + 1))}, TARGETS, jax.random.key(0))
