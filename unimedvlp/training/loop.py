"""The training loop: evaluate, save, next batch, step, log, so that a checkpoint and its data position always agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import BATCH_AXES
from unimedvlp.parallel.multihost import batch_share, global_batch
from unimedvlp.training import optimizers
from unimedvlp.training.checkpoints import Checkpoints
from unimedvlp.training.interrupt import Interrupt
from unimedvlp.training.prefetch import Prefetch
from unimedvlp.training.state import TrainState, abstract_state, create
from unimedvlp.training.step import make_train_step
from unimedvlp.training.telemetry import Telemetry


def train(
    system: Any,
    optimizer: Mapping[str, Any],
    batches: Callable[[int], dict[str, np.ndarray]],
    total_steps: int,
    *,
    workdir: Path | str,
    mesh: Mesh,
    seed: int = 0,
    evaluate: Callable[[TrainState, int], Mapping[str, float]] | None = None,
    eval_every: int = 0,
    save_every: int = 0,
    log_every: int = 50,
    keep: int = 2,
    best: str | None = None,
    best_mode: str = "max",
    accumulate: int = 1,
    ema_decay: float | None = None,
    on_nonfinite: str = "stop",
) -> TrainState:
    """Trains `system` to `total_steps` updates, from the newest checkpoint of `workdir` if it has one.

    Args:
      system: has `init(rng, batch)` and `loss(params, batch, rng, train=)`.
      optimizer: fields of `optimizers.Settings`.
      batches: step -> this process's slice of the global batch, NumPy arrays [B / n, ...] (see `batch_share`).
      evaluate: (state, step) -> {name: value}; must keep no reference to the state. Runs every `eval_every` steps (0:
        only at the end) and after the last step; the one due at a step is repeated if the run resumes there.
      save_every: steps between checkpoints (0: only at the end); `keep` of them stay.
      best, best_mode: name of the evaluated value by which the best parameters are kept, and "max" or "min".
      accumulate, ema_decay: see `make_train_step`. on_nonfinite: see `Telemetry`.

    Raises:
      UserError: for what a person can mend: see the functions called.
      SystemExit: with code 0, after SIGTERM or Ctrl-C, once the state is saved.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    first = batches(0)
    shapes = _global_shapes(first, mesh, accumulate)
    made = optimizers.make(optimizer, total_steps)
    abstract = abstract_state(system, made, shapes, mesh, ema=ema_decay is not None)

    with Checkpoints(workdir, keep=keep, best_mode=best_mode) as checkpoints, Interrupt() as interrupt:
        resumed = checkpoints.restore(abstract)
        state = resumed or create(system, made, jax.random.key(seed), shapes, mesh, ema=ema_decay is not None)
        start = int(state.step)
        if start > total_steps:
            raise UserError(f"{workdir}: already trained to step {start}, beyond the {total_steps} asked for")
        train_step = make_train_step(system, made, abstract, mesh, accumulate=accumulate, ema_decay=ema_decay)

        with (
            Telemetry(workdir, start, total_steps, log_every, on_nonfinite) as telemetry,
            Prefetch(lambda step: global_batch(batches(step), mesh), start, total_steps) as prefetch,
        ):
            if resumed:
                telemetry.say(f"resumed from step {start} of {workdir}")
            for step in range(start, total_steps + 1):
                last = step == total_steps
                if not last and interrupt.requested(step, log_every):
                    telemetry.check()
                    checkpoints.save(step, state)
                    checkpoints.wait()
                    telemetry.say(f"stopped by a signal; saved step {step}: the same command goes on from there")
                    raise SystemExit(0)
                if evaluate and (last or _due(step, eval_every)):
                    telemetry.check()
                    with telemetry.paused():
                        scores = evaluate(state, step)
                        telemetry.scores(step, scores)
                        if best:
                            checkpoints.save_best(step, state.evaluation_params, _named(scores, best))
                if last or _due(step, save_every):
                    telemetry.check()
                    with telemetry.paused():
                        checkpoints.save(step, state)
                if last:
                    break

                batch = prefetch.get(step)
                begun = time.perf_counter()
                state, metrics = train_step(state, batch)
                if step == start:
                    telemetry.compiled(time.perf_counter() - begun)
                telemetry.record(step + 1, metrics, _images(shapes), prefetch.take_waited())
    return state


def _due(step: int, every: int) -> bool:
    return bool(every) and step > 0 and step % every == 0


def _named(scores: Mapping[str, float], best: str) -> float:
    if best not in scores:
        raise UserError(f"best: no evaluated value is named {best!r}; there are {', '.join(sorted(scores))}")
    return float(scores[best])


def _images(shapes: dict[str, jax.ShapeDtypeStruct]) -> int:
    """Images in a global batch [B, V, ...]; without images, its samples."""
    return int(np.prod(shapes["image"].shape[:2])) if "image" in shapes else next(iter(shapes.values())).shape[0]


def _global_shapes(batch: dict[str, np.ndarray], mesh: Mesh, accumulate: int) -> dict[str, jax.ShapeDtypeStruct]:
    _, shares = batch_share(mesh)
    ways = int(np.prod([mesh.shape[axis] for axis in BATCH_AXES])) * accumulate
    size = next(iter(batch.values())).shape[0] * shares
    if size % ways:
        raise UserError(
            f"batch: {size} samples do not divide into {ways} equal parts (the mesh's {', '.join(BATCH_AXES)} "
            f"times accumulate={accumulate}); the nearest batch size is {max(ways, size // ways * ways)}"
        )
    return {name: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype) for name, x in batch.items()}
