"""What a run reports: figures of its steps, speed, memory, goodput, and updates that were not finite."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from tensorboardX import SummaryWriter

from unimedvlp.errors import UserError
from unimedvlp.parallel.multihost import process_zero
from unimedvlp.training.devices import memory_gib
from unimedvlp.training.goodput import Goodput
from unimedvlp.training.metrics_file import MetricsFile
from unimedvlp.training.progress import ProgressDisplay
from unimedvlp.training.step import Metrics

IN_FLIGHT = 2  # steps that the host may be ahead of the device
POLICIES = ("stop", "skip", "rollback")


class NotFinite(Exception):
    """The update `step` was not finite, and the policy is to go back to the newest checkpoint."""

    def __init__(self, step: int):
        super().__init__(step)
        self.step = step


@dataclasses.dataclass(frozen=True)
class Work:
    """What one step is: `images` of the global batch, model FLOPs over all devices, and the devices' summed peak FLOP/s
    (None where it is not known)."""

    images: int
    flops: float
    peak: float | None = None


class Telemetry:
    """Keeps the metrics of each step on the device and fetches them every `log_every` steps; then writes them.

    Rows go to metrics.jsonl and TensorBoard (process 0). Beside the metrics of that step they hold, since the row before:
    step_s (mean seconds of a step), images_per_s, tflops_per_device (model FLOPs), mfu (their share of the devices' peak),
    input_wait (share of the time that the loop waited for a batch); since the start of the process: compile_s (in the first
    row), nonfinite (updates that were not finite, if any), host_gib and device_gib (largest memory so far); and since the
    first start of the run: goodput.

    Args:
      start, total: first and last step.
      on_nonfinite: what an update that was left out means. "stop" raises at the first one; "skip" goes on; "rollback" raises
        NotFinite, upon which the loop goes back to the newest checkpoint and on with the batch after this one. "skip" and
        "rollback" put up with `nonfinite_limit` of them.
    """

    def __init__(
        self,
        workdir: Path,
        start: int,
        total: int,
        log_every: int,
        work: Work,
        on_nonfinite: str = "stop",
        nonfinite_limit: int = 10,
    ):
        if on_nonfinite not in POLICIES:
            raise UserError(f"on_nonfinite: {on_nonfinite!r} is unknown; use one of {', '.join(POLICIES)}")
        self.total, self.log_every, self.work = total, log_every, work
        self.on_nonfinite, self.nonfinite_limit, self.nonfinite = on_nonfinite, nonfinite_limit, 0
        self.goodput = Goodput(workdir, start, write=process_zero())
        self._pending: list[tuple[int, Metrics]] = []
        self._extra: dict[str, float] = {}
        self._display = ProgressDisplay(start, total, quiet=not process_zero())
        self._file = MetricsFile(workdir) if process_zero() else None
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1) if process_zero() else None
        self.begin(start)

    def begin(self, step: int) -> None:
        """The clocks start here, before the batch of `step` is taken."""
        self._waited, self._counted, self._last, self._begun = 0.0, 0.0, step, time.perf_counter()

    def say(self, text: str) -> None:
        """One line for the person who watches."""
        self._display.say(text)

    def compiled(self, seconds: float) -> None:
        """Notes how long the first step took to compile; the clock of the speed starts after it."""
        self._extra["compile_s"] = seconds
        self._begun = time.perf_counter()
        self.say(f"compiled the training step in {seconds:.1f} s")

    def record(self, step: int, metrics: Metrics, waited: float) -> None:
        """Takes the metrics of the `step`-th update and the seconds waited for its batch."""
        self._pending.append((step, metrics))
        self._waited += waited
        if len(self._pending) > IN_FLIGHT:
            jax.block_until_ready(self._pending[-1 - IN_FLIGHT][1])
        if step % self.log_every == 0 or step == self.total:
            self._log()
        else:
            self._display.advance(step)

    def check(self) -> dict[str, float]:
        """Waits for all steps so far; call it before anything is evaluated or saved. The metrics of the last one.

        Raises:
          UserError: at a step that was not finite, with the terms at fault, if the policy does not put up with it.
          NotFinite: at a step that was not finite, if the policy is to go back.
        """
        steps, pending = [step for step, _ in self._pending], [metrics for _, metrics in self._pending]
        self._pending.clear()
        fetched = [{name: float(value) for name, value in row.items()} for row in jax.device_get(pending)]
        bad = [(step, row) for step, row in zip(steps, fetched, strict=True) if not row["finite"]]
        for step, row in bad:
            self._not_finite(step, row)
        self._count()
        return {name: value for name, value in fetched[-1].items() if name != "finite"} if fetched else {}

    def saved(self, step: int) -> None:
        """Notes that what was done up to here is in a checkpoint."""
        self.goodput.saved(step)

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Writes the results of an evaluation, under their own names."""
        self._write(step, {name: float(value) for name, value in scores.items()})
        self.say(f"step {step}: " + "  ".join(f"{name} {value:.4g}" for name, value in scores.items()))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside does not count for the speed."""
        begun = time.perf_counter()
        yield
        self._begun += time.perf_counter() - begun

    def close(self) -> None:
        """Closes bar and files."""
        self._display.close()
        if self._board:
            self._board.close()

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _not_finite(self, step: int, row: Mapping[str, float]) -> None:
        self.nonfinite += 1
        terms = ", ".join(f"{name} = {value}" for name, value in row.items() if not math.isfinite(value))
        if self.on_nonfinite == "stop":
            raise UserError(
                f"step {step} is not finite: {terms}; nothing was saved after it. Lower the learning rate, lengthen the "
                "warm-up or look at this batch; on_nonfinite='skip' leaves such steps out, 'rollback' goes back"
            )
        if self.nonfinite > self.nonfinite_limit:
            raise UserError(
                f"step {step} is not finite: {terms}; {self.nonfinite} such steps since the start are more than "
                f"nonfinite_limit={self.nonfinite_limit}. Lower the learning rate or look at the data"
            )
        self.say(f"step {step} is not finite ({terms}): its update is left out; {self.nonfinite} so far")
        if self.on_nonfinite == "rollback":
            raise NotFinite(step)

    def _seconds(self) -> float:
        return max(time.perf_counter() - self._begun, 1e-9)

    def _count(self) -> None:
        """Adds what was done since this was last called to the productive time."""
        productive = max(self._seconds() - self._waited, 0.0)
        self.goodput.add(productive - self._counted)
        self._counted = productive

    def _log(self) -> None:
        step = self._pending[-1][0]
        values = self.check()
        step_s = self._seconds() / (step - self._last)
        speed, wait = self.work.images / step_s, min(self._waited / self._seconds(), 1.0)
        values |= {"step_s": step_s, "images_per_s": speed, "input_wait": wait, "goodput": self.goodput.share()}
        values["tflops_per_device"] = self.work.flops / step_s / jax.device_count() / 1e12
        text = f"loss {values['loss']:.4f}  {speed:.1f} images/s  input wait {wait:.0%}"
        if self.work.peak:
            values["mfu"] = self.work.flops / step_s / self.work.peak
            text += f"  MFU {values['mfu']:.1%}"
        if self.nonfinite:
            values["nonfinite"] = self.nonfinite
        left = datetime.timedelta(seconds=round((self.total - step) * step_s))
        self._write(step, values | memory_gib() | self._extra)
        self._display.update(step, f"{text}  {left} left")
        self._extra = {}
        self.begin(step)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._file and self._board:
            self._file.write(step, values)
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
