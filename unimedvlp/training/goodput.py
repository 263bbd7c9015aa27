"""Goodput: the share of the time since a run was first started that went into steps which count, over all its restarts.

What does not count: starting, compiling, evaluating, saving, waiting for input, standing still between a stop and the next
start, and steps that a restart had to do again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

NAME = "goodput.json"
KEPT = 16  # newest checkpoints whose figures stay in the file


class Goodput:
    """Keeps `goodput.json` in a working directory: when the run began, how often it was started, and the productive seconds
    up to each checkpoint.

    Args:
      step: the checkpoint that this start goes on from; the seconds spent after it are lost.
      write: whether this process writes the file.
    """

    def __init__(self, workdir: Path, step: int, *, write: bool = True):
        self._path, self._write = workdir / NAME, write
        found = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.begun: float = found.get("begun", time.time())
        self.starts: int = found.get("starts", 0) + 1
        self._saved = {int(at): seconds for at, seconds in found.get("productive_s", {}).items()}
        self.back_to(step)
        self._store()

    def add(self, seconds: float) -> None:
        """Seconds spent in steps, beyond those counted so far."""
        self.productive_s += seconds

    def back_to(self, step: int) -> None:
        """The run goes on from this checkpoint; nothing done after it counts."""
        self._saved = {at: seconds for at, seconds in self._saved.items() if at <= step}
        self.productive_s = self._saved.get(step, 0.0)

    def saved(self, step: int) -> None:
        """Notes what is behind a checkpoint."""
        self._saved = dict(sorted(({step: self.productive_s} | self._saved).items())[-KEPT:])
        self._store()

    def share(self) -> float:
        """Productive seconds over all seconds since the first start, 0..1."""
        return min(self.productive_s / max(time.time() - self.begun, 1e-9), 1.0)

    def _store(self) -> None:
        if self._write:
            text = json.dumps({"begun": self.begun, "starts": self.starts, "productive_s": self._saved})
            half = self._path.with_suffix(".tmp")  # a process killed here leaves the old file whole
            half.write_text(text + "\n")
            half.replace(self._path)
