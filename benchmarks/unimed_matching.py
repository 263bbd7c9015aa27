"""What matching costs within a training step of UniMed, tiny: batch 32, 100 queries.

    python -m benchmarks.unimed_matching

Times the whole step (loss, gradients) and the assignments that it makes, on the same number of layers, queries and objects, in one
process. Objects are drawn at random, 8 of 28 places an image.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta

from configs.pretrain.unimed import get_config
from unimedvlp import systems
from unimedvlp.objectives.assignment import assign
from unimedvlp.tokens import text
from unimedvlp.tokens.geometry import quantize
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import CLASS_START, COORDINATE_BINS, COORDINATE_START

BATCH, QUERIES, REAL, REPEATS = 32, 100, 8, 3


def main() -> None:
    """Prints the times and their ratio."""
    config = get_config("tiny")
    config.system.model.queries = QUERIES
    spec = config.data.spec
    system = systems.build(config.system, make_space(spec), spec.image_size, spec.views)
    batch = jax.device_put(random_batch(spec, BATCH))
    params = meta.unbox(jax.jit(system.init)(jax.random.key(0), batch))
    grad = jax.jit(jax.grad(lambda p, b: system.loss(p, b, jax.random.key(1), train=True)[0]))
    step = seconds(grad, params, batch)
    finest = spec.image_size // (4 if config.system.model.fine else 8)
    layers, places = config.system.model.decomposed_depth + 1, finest**2 * 21 // 16
    rng, real = np.random.default_rng(0), batch["object_mask"]
    solve = jax.jit(assign)
    parts = {
        f"{layers} layers of {QUERIES} queries": (layers * BATCH, QUERIES, 1),
        f"{places} proposals, {config.system.copies} an object": (BATCH, places, config.system.copies),
    }
    matching = 0.0
    for name, (rows, queries, copies) in parts.items():
        cost = jnp.asarray(rng.normal(size=(rows, queries, spec.objects * copies)), jnp.float32)
        taken = seconds(solve, cost, jnp.tile(real, (rows // BATCH, copies)))
        print(f"{name}: {1000 * taken:.1f} ms")
        matching += taken
    print(f"step {1000 * step:.0f} ms, matching {1000 * matching:.1f} ms: {matching / step:.1%}")


def make_space(spec: Any) -> TokenSpace:
    """The token space of a spec's labels and two more classes."""
    names = [*spec.labels, "cell", "lung"]
    return TokenSpace.create(names, text.train(names * 3, size=300))


def random_batch(spec: Any, rows: int) -> dict[str, np.ndarray]:
    """A batch of noise with `REAL` boxes an image, every second one with a mask; responses begin with the boxes."""
    rng, labels = np.random.default_rng(0), len(spec.labels)
    low = rng.uniform(0, 0.7, (rows, spec.objects, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.3, low.shape)], axis=-1).astype(np.float32)
    there = np.tile(np.arange(spec.objects) < REAL, (rows, 1))
    ids = rng.integers(COORDINATE_START, COORDINATE_START + COORDINATE_BINS, (rows, spec.response_length))
    told = rng.integers(CLASS_START, CLASS_START + labels, (rows, REAL, 5))
    told[..., :4] = COORDINATE_START + quantize(boxes[:, :REAL])
    ids[:, : 5 * REAL] = told.reshape(rows, -1)
    return {
        "image": rng.integers(0, 255, (rows, 1, spec.image_size, spec.image_size, 3)).astype(np.uint8),
        "view_mask": np.ones((rows, 1), bool),
        "prompt": np.ones((rows, spec.prompt_length), np.int32),
        "prompt_mask": np.ones((rows, spec.prompt_length), bool),
        "response": ids.astype(np.int32),
        "target": ids.astype(np.int32),
        "response_weight": np.ones(ids.shape, np.float32),
        "boxes": boxes,
        "classes": rng.integers(0, labels, there.shape).astype(np.int32),
        "object_mask": there,
        "annotated": np.ones(rows, bool),
        "masks": rng.integers(0, 2, (*there.shape, spec.mask_size, spec.mask_size)).astype(np.uint8),
        "has_mask": there & (np.arange(spec.objects) % 2 == 0),
        "labels": rng.integers(0, 2, (rows, labels)).astype(np.float32),
        "labelled": np.ones(rows, bool),
    }


def seconds(run: Callable, *args) -> float:
    """The fastest of `REPEATS` runs, compiled before."""
    jax.block_until_ready(run(*args))
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        jax.block_until_ready(run(*args))
        times.append(time.perf_counter() - begun)
    return min(times)


if __name__ == "__main__":
    main()
