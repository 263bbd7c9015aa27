"""The assignment on the device against scipy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from unimedvlp.objectives.assignment import assign

RNG = np.random.default_rng(0)
solve = jax.jit(assign)


def totals(cost, matched, mask):
    """Cost [B] in float64; asserts that real objects have queries of their own, and padded ones have none."""
    queries, result = cost.shape[1], []
    for c, m, real in zip(np.asarray(cost, np.float64), np.asarray(matched), mask, strict=True):
        assert (m[~real] == queries).all() and len(set(m[real])) == real.sum() and (m[real] < queries).all()
        result.append(c[m[real], np.flatnonzero(real)].sum())
    return np.array(result)


def best(cost, mask):
    """The least cost [B] by scipy, over the real objects."""
    problems = [c[:, real] for c, real in zip(np.asarray(cost, np.float64), mask, strict=True)]
    return np.array([c[linear_sum_assignment(c)].sum() for c in problems])


def random_masks(batch, objects):
    """Any objects may be padding; the first problem has none, the last nothing else."""
    mask = RNG.random((batch, objects)) < RNG.random((batch, 1))
    mask[0], mask[-1] = True, False
    return mask


@pytest.mark.parametrize(("queries", "objects"), [(1, 1), (30, 12), (24, 24)])
@pytest.mark.parametrize("kind", ["ties", "random", "one order", "far"])
def test_costs_as_little_as_scipys(kind, queries, objects):
    shape = (64, queries, objects)
    if kind == "ties":  # whole numbers: float32 is exact, and many assignments are equally good
        cost = RNG.integers(0, 6, shape).astype(np.float32)
    elif kind == "one order":  # all objects prefer the same queries
        cost = RNG.normal(size=(64, queries, 1)) * 3 + RNG.normal(size=(64, 1, objects)) + 0.3 * RNG.normal(size=shape)
    elif kind == "far":  # large numbers of both signs
        cost = RNG.integers(-100_000, 100_000, shape)
    else:
        cost = RNG.random(shape)
    cost, mask = np.asarray(cost, np.float32), random_masks(64, objects)
    found = totals(cost, solve(cost, mask), mask)
    tolerance = 0 if kind in ("ties", "far") else 1e-5
    np.testing.assert_allclose(found, best(cost, mask), rtol=tolerance, atol=tolerance)


def test_order_and_padding_do_not_matter():
    cost, mask = RNG.random((8, 12, 6)).astype(np.float32), random_masks(8, 6)
    matched = solve(cost, mask)
    q, k = RNG.permutation(12), RNG.permutation(6)
    shuffled = np.asarray(solve(cost[:, q][:, :, k], mask[:, k]))
    np.testing.assert_array_equal(np.append(q, 12)[shuffled], matched[:, k])
    junk = np.where(mask[:, None, :], cost, np.nan)
    np.testing.assert_array_equal(solve(junk, mask), matched)


def test_costs_that_are_not_finite_are_avoided_and_never_hang():
    cost = RNG.random((3, 9, 4)).astype(np.float32)
    cost[0, :5], cost[1, 2:, 0], cost[2] = np.nan, np.inf, np.nan
    matched, mask = solve(cost, np.ones((3, 4), bool)), np.ones((3, 4), bool)
    assert np.isfinite(totals(cost, matched, mask)).tolist() == [True, True, False]
    np.testing.assert_allclose(totals(cost, matched, mask)[0], best(cost[:1, 5:], mask[:1])[0], rtol=1e-6)


def test_no_gradient_flows():
    cost, mask = jnp.asarray(RNG.random((2, 5, 3)), jnp.float32), jnp.ones((2, 3), bool)
    picked = jax.grad(lambda c: jnp.take_along_axis(c, assign(c, mask)[:, None], axis=1).sum())(cost)
    assert set(np.unique(picked)) == {0.0, 1.0}


def test_more_objects_than_queries_is_an_error():
    with pytest.raises(ValueError, match="4 object slots need as many queries, the cost has 3"):
        assign(jnp.zeros((1, 3, 4)), jnp.ones((1, 4), bool))
