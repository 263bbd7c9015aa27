"""When to stop and when to save, decided the same by all processes of a run."""

from __future__ import annotations

import time

import jax

from unimedvlp.parallel.multihost import votes
from unimedvlp.training.interrupt import Interrupt


class Agreement:
    """Any process may ask to stop; the clock of process 0 says when `save_minutes` have passed since the last save (0: never).

    Several processes talk about it only at every `every`-th step, since that waits for the devices.
    """

    def __init__(self, interrupt: Interrupt, every: int, save_minutes: float):
        self.interrupt, self.every, self.seconds = interrupt, every, 60 * save_minutes
        self.saved()

    def at(self, step: int) -> tuple[bool, bool]:
        """(stop here, save here)"""
        alone, agreed = jax.process_count() == 1, step % self.every == 0
        if not agreed:
            return alone and self.interrupt.asked, False
        due = bool(self.seconds) and time.monotonic() - self._saved >= self.seconds
        found = votes(self.interrupt.asked, due)
        return bool(found[:, 0].any()), bool(found[0, 1])

    def saved(self) -> None:
        """The clock starts anew."""
        self._saved = time.monotonic()
