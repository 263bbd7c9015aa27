"""How a run shows that it advances: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressDisplay:
    """Shows step/total and a line of text; `quiet` shows nothing (all processes but the first).

    Args:
      every_s: seconds between two plain lines where the output is no terminal.
    """

    def __init__(self, start: int, total: int, *, quiet: bool = False, every_s: float = 10.0):
        self.total, self.every_s, self._shown = total, every_s, float("-inf")
        self.console = Console(quiet=quiet, soft_wrap=True, highlight=False)
        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=self.console, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("train", total=total, completed=start, text="compiling ...")
        self._bar.start()

    def update(self, step: int, text: str) -> None:
        """Moves to `step` with the newest figures."""
        self._bar.update(self._task, completed=step, text=text)
        now = time.monotonic()
        if not self.console.is_terminal and (now - self._shown >= self.every_s or step == self.total):
            self.say(f"step {step}/{self.total}  {text}")
            self._shown = now

    def advance(self, step: int) -> None:
        """Moves the bar only."""
        self._bar.update(self._task, completed=step)

    def say(self, text: str) -> None:
        """One line above the bar."""
        self.console.print(text, markup=False)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.stop()
