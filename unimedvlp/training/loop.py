"""The training loop: evaluate, save, next batch, step, log, so that a checkpoint and its data position always agree."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import BATCH_AXES
from unimedvlp.parallel.multihost import batch_share, global_batch
from unimedvlp.training import optimizers
from unimedvlp.training.agreement import Agreement
from unimedvlp.training.checkpoints import Checkpoints
from unimedvlp.training.devices import peak_tflops as peak_by_name
from unimedvlp.training.flops import flops_per_step
from unimedvlp.training.interrupt import Interrupt
from unimedvlp.training.prefetch import Prefetch
from unimedvlp.training.profile import Profile
from unimedvlp.training.state import TrainState, abstract_state, create
from unimedvlp.training.step import make_train_step
from unimedvlp.training.telemetry import NotFinite, Telemetry, Work
from unimedvlp.training.warm_start import warm_start
from unimedvlp.training.watchdog import Watchdog

Evaluate = Callable[[TrainState, int], Mapping[str, float]]


def train(
    system: Any,
    optimizer: Mapping[str, Any],
    batches: Callable[[int], dict[str, np.ndarray]],
    total_steps: int,
    *,
    workdir: Path | str,
    mesh: Mesh,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    eval_every: int = 0,
    save_every: int = 0,
    save_minutes: float = 0,
    log_every: int = 50,
    keep: int = 2,
    best: str | None = None,
    best_mode: str = "max",
    accumulate: int = 1,
    ema_decay: float | None = None,
    on_nonfinite: str = "stop",
    nonfinite_limit: int = 10,
    profile: Sequence[int] = (),
    hang_minutes: float = 0,
    peak_tflops: float = 0,
    start_from: Path | str = "",
    start_without: Sequence[str] = (),
) -> TrainState:
    """Trains `system` to `total_steps` updates, from the newest checkpoint of `workdir` if it has one.

    Args:
      system: has `init(rng, batch)` and `loss(params, batch, rng, train=)`.
      optimizer: fields of `optimizers.Settings`.
      batches: step -> this process's slice of the global batch, NumPy arrays [B / n, ...] (see `batch_share`).
      evaluate: (state, step) -> {name: value}; must keep no reference to the state. Runs every `eval_every` steps (0:
        only at the end) and after the last step; the one due at a step is repeated if the run resumes there.
      save_every, save_minutes: steps between checkpoints, and minutes by the clock of process 0, looked at every
        `log_every` steps (0 and 0: only at the end); `keep` of them stay.
      best, best_mode: name of the evaluated value by which the best parameters are kept, and "max" or "min".
      accumulate, ema_decay: see `make_train_step`. on_nonfinite, nonfinite_limit: see `Telemetry`. profile: see `Profile`.
      hang_minutes: see `Watchdog`; evaluation, saving and compilation are not timed.
      peak_tflops: of one device, for the MFU; 0: known by the device's name, or there is no MFU.
      start_from, start_without: a trained working directory whose weights a new run begins with, and which of them it
        does not take, see `warm_start`.

    Raises:
      UserError: for what a person can mend: see the functions called.
      SystemExit: with code 0, after SIGTERM or Ctrl-C, once the state is saved.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    shapes = _global_shapes(batches(0), mesh, accumulate)
    made = optimizers.make(optimizer, total_steps)
    average = ema_decay is not None
    abstract = abstract_state(system, made, shapes, mesh, ema=average)

    def begin() -> TrainState:
        state = create(system, made, jax.random.key(seed), shapes, mesh, ema=average)
        return warm_start(state, start_from, start_without) if start_from else state

    with (
        Checkpoints(workdir, keep=keep, best_mode=best_mode) as checkpoints,
        Interrupt() as interrupt,
        Profile(workdir / "profile", profile) as traced,
        Watchdog(hang_minutes) as watchdog,
    ):
        resumed = checkpoints.restore(abstract)
        state = resumed or begin()
        start = int(state.step)
        if start > total_steps:
            raise UserError(f"{workdir}: already trained to step {start}, beyond the {total_steps} asked for")
        step = make_train_step(system, made, abstract, mesh, accumulate=accumulate, ema_decay=ema_decay)
        peak = (peak_tflops or peak_by_name(mesh.devices.flat[0].device_kind) or 0) * mesh.size * 1e12
        work = Work(_images(shapes), flops_per_step(step, abstract, shapes), peak or None)
        with Telemetry(workdir, start, total_steps, log_every, work, on_nonfinite, nonfinite_limit) as telemetry:
            if resumed:
                telemetry.say(f"resumed from step {start} of {workdir}")
            loop = _Loop(
                step=step,
                fetch=lambda at: global_batch(batches(at), mesh),
                total=total_steps,
                due=(eval_every, save_every),
                evaluate=evaluate,
                best=best,
                checkpoints=checkpoints,
                agreement=Agreement(interrupt, log_every, save_minutes),
                telemetry=telemetry,
                profile=traced,
                watchdog=watchdog,
            )
            while True:
                try:
                    return loop.run(state)
                except NotFinite as error:
                    bad = error.step
                checkpoints.wait()
                state = _rolled_back(checkpoints.restore(abstract) or begin(), bad, telemetry)


@dataclasses.dataclass
class _Loop:
    step: Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]
    fetch: Callable[[int], Any]
    total: int
    due: tuple[int, int]  # steps between evaluations, and between saves
    evaluate: Evaluate | None
    best: str | None
    checkpoints: Checkpoints
    agreement: Agreement
    telemetry: Telemetry
    profile: Profile
    watchdog: Watchdog
    compiled: bool = False

    def run(self, state: TrainState) -> TrainState:
        """From the state's step to the last; NotFinite where the run shall go back."""
        start, telemetry = int(state.step), self.telemetry
        telemetry.begin(start)
        with Prefetch(self.fetch, start, self.total) as prefetch:
            for step in range(start, self.total + 1):
                last = step == self.total
                stop, save = (False, False) if last else self.agreement.at(step)
                if stop:
                    self._save(step, state)
                    self.checkpoints.wait()
                    telemetry.say(f"stopped by a signal; saved step {step}: the same command goes on from there")
                    raise SystemExit(0)
                if self.evaluate and (last or _due(step, self.due[0])):
                    self._evaluate(step, state)
                if last or save or _due(step, self.due[1]):
                    self._save(step, state)
                if last:
                    return state

                self.watchdog.beat()
                batch = prefetch.get(step)
                with telemetry.paused():
                    self.profile.at(step, state)
                with jax.profiler.StepTraceAnnotation("train", step_num=step):
                    state, metrics = self._step(state, batch, prefetch)
                telemetry.record(step + 1, metrics, prefetch.take_waited())

    def _step(self, state: TrainState, batch: Any, prefetch: Prefetch) -> tuple[TrainState, dict[str, jax.Array]]:
        if self.compiled:
            return self.step(state, batch)
        self.watchdog.rest()
        begun = time.perf_counter()
        result = self.step(state, batch)
        self.telemetry.compiled(time.perf_counter() - begun)
        prefetch.take_waited()  # the clocks start here
        self.compiled = True
        return result

    def _evaluate(self, step: int, state: TrainState) -> None:
        self.telemetry.check()
        self.watchdog.rest()
        with self.telemetry.paused():
            scores = self.evaluate(state, step)
            self.telemetry.scores(step, scores)
            if self.best:
                self.checkpoints.save_best(step, state.evaluation_params, _named(scores, self.best))

    def _save(self, step: int, state: TrainState) -> None:
        self.telemetry.check()
        self.watchdog.rest()
        with self.telemetry.paused():
            self.checkpoints.save(step, state)
        self.telemetry.saved(step)
        self.agreement.saved()


def _rolled_back(saved: TrainState, bad: int, telemetry: Telemetry) -> TrainState:
    """The saved state, with the batches up to the bad update behind it; the learning rate and the average go on from its
    own number of updates."""
    step = int(saved.step)
    telemetry.say(f"back to the state of step {step}; on with the batch of step {bad}")
    telemetry.goodput.back_to(step)
    return saved.replace(step=saved.step + (bad - step), skipped=saved.skipped + (bad - step))


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
    dtype = jax.dtypes.canonicalize_dtype  # 64-bit integers become 32-bit ones on the devices
    return {name: jax.ShapeDtypeStruct((size, *x.shape[1:]), dtype(x.dtype)) for name, x in batch.items()}
