"""What a run reports: figures of its steps, speed, and the stop at a loss that is not finite."""

from __future__ import annotations

import contextlib
import datetime
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from tensorboardX import SummaryWriter

from unimedvlp.errors import UserError
from unimedvlp.parallel.multihost import process_zero
from unimedvlp.training.metrics_file import MetricsFile
from unimedvlp.training.progress import ProgressDisplay
from unimedvlp.training.step import Metrics

IN_FLIGHT = 2  # steps that the host may be ahead of the device


class Telemetry:
    """Keeps the metrics of each step on the device and fetches them every `log_every` steps; then writes them.

    Rows go to metrics.jsonl and TensorBoard (process 0): the metrics of that step, images_per_s and input_wait (share
    of the time that the loop waited for a batch) since the row before, and compile_s in the first row.

    Args:
      start, total: first and last step.
      on_nonfinite: "stop" raises at the first update that was left out; "skip" goes on and says how many there were.
    """

    def __init__(self, workdir: Path, start: int, total: int, log_every: int, on_nonfinite: str = "stop"):
        if on_nonfinite not in ("stop", "skip"):
            raise UserError(f"on_nonfinite: {on_nonfinite!r} is unknown; use 'stop' or 'skip'")
        self.total, self.log_every, self.on_nonfinite = total, log_every, on_nonfinite
        self._pending: list[tuple[int, Metrics]] = []
        self._extra: dict[str, float] = {}
        self._images, self._waited, self._begun, self._last = 0, 0.0, time.perf_counter(), start
        self._display = ProgressDisplay(start, total, quiet=not process_zero())
        self._file = MetricsFile(workdir) if process_zero() else None
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1) if process_zero() else None

    def say(self, text: str) -> None:
        """One line for the person who watches."""
        self._display.say(text)

    def compiled(self, seconds: float) -> None:
        """Notes how long the first step took to compile; the clock of the speed starts after it."""
        self._extra["compile_s"] = seconds
        self._begun = time.perf_counter()
        self.say(f"compiled the training step in {seconds:.1f} s")

    def record(self, step: int, metrics: Metrics, images: int, waited: float) -> None:
        """Takes the metrics of the `step`-th update, its number of images and the seconds waited for its batch."""
        self._pending.append((step, metrics))
        self._images, self._waited = self._images + images, self._waited + waited
        if len(self._pending) > IN_FLIGHT:
            jax.block_until_ready(self._pending[-1 - IN_FLIGHT][1])
        if step % self.log_every == 0 or step == self.total:
            self._log()
        else:
            self._display.advance(step)

    def check(self) -> None:
        """Waits for all steps so far; call it before anything is evaluated or saved.

        Raises:
          UserError: at a step that was not finite (if on_nonfinite is "stop"), with the terms at fault.
        """
        fetched = jax.device_get([metrics for _, metrics in self._pending])
        steps = [step for step, _ in self._pending]
        self._pending.clear()
        bad = [(step, metrics) for step, metrics in zip(steps, fetched, strict=True) if not metrics["finite"]]
        if bad and self.on_nonfinite == "stop":
            step, metrics = bad[0]
            terms = ", ".join(f"{name} = {value}" for name, value in metrics.items() if not math.isfinite(value))
            raise UserError(
                f"step {step} is not finite: {terms}; nothing was saved after it. Lower the learning rate, lengthen the "
                "warm-up or look at this batch; on_nonfinite='skip' leaves such steps out"
            )
        if bad:
            self.say(f"left out {len(bad)} update(s) that were not finite, the last at step {bad[-1][0]}")
        self._latest = fetched[-1] if fetched else {}

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
        if self._file and self._board:
            self._file.close()
            self._board.close()

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _log(self) -> None:
        step = self._pending[-1][0]
        self.check()
        seconds = max(time.perf_counter() - self._begun, 1e-9)
        speed, share = self._images / seconds, min(self._waited / seconds, 1.0)
        values = {name: float(value) for name, value in self._latest.items() if name != "finite"}
        self._write(step, values | {"images_per_s": speed, "input_wait": share} | self._extra)
        left = datetime.timedelta(seconds=round((self.total - step) * seconds / (step - self._last)))
        text = f"loss {values['loss']:.4f}  {speed:.1f} images/s  input wait {share:.0%}  {left} left"
        self._display.update(step, text)
        self._extra, self._images, self._waited, self._last = {}, 0, 0.0, step
        self._begun = time.perf_counter()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._file and self._board:
            self._file.write(step, values)
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
