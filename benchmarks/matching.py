"""Assignment on the device against scipy's through a callback, in one run.

    python -m benchmarks.matching

Batch 32, 100 queries, 20, 50 and 100 objects. `spread`: costs of random boxes and classes. `alike`: all objects
prefer the same queries, as at the start of a training; the hardest case for both. Ratios above 1: the device is faster.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment

from unimedvlp.objectives.assignment import assign

BATCH, QUERIES, REPEATS = 32, 100, 15


def scipys(cost: jax.Array, object_mask: jax.Array) -> jax.Array:
    """`assign` by scipy on the host: `[B, K]` int32."""

    def solve(cost: np.ndarray, object_mask: np.ndarray) -> np.ndarray:
        matched = np.full(object_mask.shape, cost.shape[1], np.int32)
        for row, problem, real in zip(matched, np.asarray(cost), np.asarray(object_mask), strict=True):
            queries, objects = linear_sum_assignment(problem[:, real])
            row[np.flatnonzero(real)[objects]] = queries
        return matched

    return jax.pure_callback(solve, jax.ShapeDtypeStruct(object_mask.shape, jnp.int32), cost, object_mask)


def costs(kind: str, objects: int, rng: np.random.Generator) -> jax.Array:
    """Costs `[B, Q, K]`."""
    if kind == "alike":
        common = 2 * rng.normal(size=(BATCH, QUERIES, 1)) + rng.normal(size=(BATCH, 1, objects))
        return jnp.asarray(common + 0.5 * rng.normal(size=(BATCH, QUERIES, objects)), jnp.float32)
    boxes, truth = rng.random((BATCH, QUERIES, 1, 4)), rng.random((BATCH, 1, objects, 4))
    probabilities = rng.dirichlet(np.ones(5), (BATCH, QUERIES))
    classes = np.broadcast_to(rng.integers(0, 5, (BATCH, 1, objects)), (BATCH, QUERIES, objects))
    chosen = np.take_along_axis(probabilities, classes, axis=2)
    return jnp.asarray(5 * np.abs(boxes - truth).sum(-1) - 2 * chosen, jnp.float32)


def total(cost: jax.Array, matched: jax.Array) -> float:
    """The summed cost of matched queries `[B, K]`, in float64."""
    return np.take_along_axis(np.asarray(cost, np.float64), np.asarray(matched)[:, None], axis=1).sum()


def milliseconds(run: Callable, *args: jax.Array) -> float:
    """The fastest of `REPEATS` runs, compiled before."""
    jax.block_until_ready(run(*args))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(run(*args))
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    """Prints one line per kind and number of objects."""
    rng, device = np.random.default_rng(0), jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}, scipy {scipy.__version__}; batch {BATCH}, {QUERIES} queries")
    print(f"{'costs':8}{'objects':>8}{'device ms':>12}{'scipy ms':>12}{'ratio':>8}{'cost - scipy':>15}")
    for kind in ("spread", "alike"):
        for objects in (20, 50, 100):
            args = costs(kind, objects, rng), jnp.ones((BATCH, objects), bool)
            runs = [jax.jit(solver) for solver in (assign, scipys)]
            ours, theirs = (milliseconds(run, *args) for run in runs)
            excess = total(args[0], runs[0](*args)) - total(args[0], runs[1](*args))
            print(f"{kind:8}{objects:8}{ours:12.2f}{theirs:12.2f}{theirs / ours:8.2f}{excess:15.1e}")


if __name__ == "__main__":
    main()
