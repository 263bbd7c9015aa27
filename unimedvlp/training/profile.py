"""A profiler trace of chosen steps, for XProf (`pip install xprof`) or Perfetto."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from unimedvlp.errors import UserError


class Profile:
    """Traces the steps first, first + 1, ... last of `steps` = (first, last), or none of (); use as a context manager.

    The first step of a process also compiles, so begin a few later. Every process writes its own file into
    `folder/plugins/profile`.
    """

    def __init__(self, folder: Path, steps: Sequence[int]):
        if steps and not (len(steps) == 2 and 0 <= steps[0] <= steps[1]):
            raise UserError(f"profile.steps: {list(steps)} must be empty or [first, last], for example [10, 12]")
        self.folder, self.steps, self.running = folder, tuple(steps), False

    def at(self, step: int, state: Any) -> None:
        """Called before each step with the state that it starts from."""
        if not self.steps:
            return
        if not self.running and step == self.steps[0]:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self.folder)
            self.running = True
        elif self.running and step > self.steps[1]:
            jax.block_until_ready(state)
            self._stop()

    def __enter__(self) -> Profile:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self._stop()

    def _stop(self) -> None:
        jax.profiler.stop_trace()
        self.running = False
