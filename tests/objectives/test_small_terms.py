"""Label losses, coupling, consistency and the mean that they share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from unimedvlp.objectives.consistency import class_consistency, mask_consistency
from unimedvlp.objectives.coupling import coupling_loss, soft_coordinates
from unimedvlp.objectives.labels import class_loss, finding_loss
from unimedvlp.objectives.reduce import masked_mean

RNG = np.random.default_rng(0)


def test_masked_mean():
    values = jnp.array([1.0, 3.0, jnp.nan])
    assert masked_mean(values, jnp.array([True, True, False])) == 2
    assert masked_mean(values, jnp.array([1.0, 3.0, 0.0])) == 2.5
    assert masked_mean(values, jnp.zeros(3)) == 0
    np.testing.assert_array_equal(jax.grad(masked_mean)(values, jnp.array([1.0, 1.0, 0.0])), [0.5, 0.5, 0])


def test_class_loss_equals_scikit_learn():
    logits, classes, labelled = RNG.normal(size=(9, 4)).astype(np.float32), RNG.integers(0, 4, 9), np.arange(9) % 3 > 0
    loss, metrics = class_loss(logits, np.where(labelled, classes, -1), labelled)
    probabilities = np.asarray(jax.nn.softmax(logits))[labelled]
    np.testing.assert_allclose(loss, log_loss(classes[labelled], probabilities, labels=range(4)), rtol=1e-5)
    right = accuracy_score(classes[labelled], probabilities.argmax(axis=1))
    np.testing.assert_allclose(metrics["class_accuracy"], right, rtol=1e-6)
    np.testing.assert_allclose(class_loss(jnp.zeros((9, 4)), classes, labelled)[0], np.log(4), rtol=1e-6)


def test_finding_loss_leaves_unknown_findings_out():
    labels, logits = np.array([[1, 0, np.nan], [np.nan, 1, 0.0]]), RNG.normal(size=(2, 3)).astype(np.float32)
    known = ~np.isnan(labels)
    expected = log_loss(labels[known], np.asarray(jax.nn.sigmoid(logits))[known])
    (loss, _), gradient = jax.jit(jax.value_and_grad(finding_loss, has_aux=True))(jnp.asarray(logits), labels)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(gradient) != 0, known)
    np.testing.assert_allclose(finding_loss(jnp.zeros((2, 3)), labels)[0], np.log(2), rtol=1e-6)


def test_coordinates_are_read_softly():
    np.testing.assert_allclose(soft_coordinates(jnp.zeros(1000)), 0.5, rtol=1e-5)
    np.testing.assert_allclose(soft_coordinates(50 * jax.nn.one_hot(333, 1000)), 333 / 999, rtol=1e-5)


def test_coupling_is_zero_where_both_decoders_agree():
    bins = jnp.array([[[100, 200, 500, 600], [0, 0, 999, 999]]])
    logits, boxes = 60 * jax.nn.one_hot(bins, 1000), bins / 999
    couple, both = jax.jit(coupling_loss), jnp.ones((1, 2), bool)
    np.testing.assert_allclose(couple(logits, boxes, both), 0, atol=1e-4)
    apart = boxes.at[0, 0].set(jnp.array([0.8, 0.8, 0.9, 0.9]))
    np.testing.assert_allclose(couple(logits, apart, both), 0.5, atol=1e-4)
    np.testing.assert_allclose(couple(logits, apart, jnp.array([[False, True]])), 0, atol=1e-4)
    gradients = jax.jit(jax.grad(coupling_loss, argnums=(0, 1)))(jnp.zeros((1, 2, 4, 1000)), boxes, both)
    assert all(jnp.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", ["mask", "class"])
def test_only_confident_teachers_teach_and_only_students_learn(name):
    """Of three entries the first is sure of one side, the second of the other, the third of nothing."""
    if name == "mask":
        teacher, loss, start = jnp.array([5.0, -5.0, 1.0]), jax.jit(mask_consistency), np.log(2)
        agreeing = 40 * teacher
    else:
        teacher, loss, start = jnp.array([[5.0, 0, 0], [0, 0, 5.0], [1.0, 0, 0]]), jax.jit(class_consistency), np.log(3)
        agreeing = 40 * teacher.at[2].set(-9.0)
    np.testing.assert_allclose(loss(jnp.zeros_like(teacher), teacher), start, rtol=1e-6)
    assert loss(agreeing, teacher) < 1e-6 and loss(agreeing, 0 * teacher) == 0
    student, to_teacher = jax.jit(jax.grad(loss, argnums=(0, 1)))(jnp.zeros_like(teacher), teacher)
    assert jnp.abs(student[:2]).min() > 0 and (student[2] == 0).all() and (to_teacher == 0).all()
