"""Ends a process whose training stands still: a collective that another host never joins would wait for ever."""

from __future__ import annotations

import faulthandler
import sys


class Watchdog:
    """After `minutes` without a `beat` the stacks of all threads go to standard error and the process ends with status 1.

    The launcher then starts it again. The clock runs in a thread of the C library, so it also ends a process whose Python is
    stuck. The first beat starts it, `rest` stops it until the next one. 0 minutes: no watchdog. Use as a context manager.
    """

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes

    def beat(self) -> None:
        """The training has moved."""
        if self.seconds:
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=sys.__stderr__)

    def rest(self) -> None:
        """What follows may take any time."""
        if self.seconds:
            faulthandler.cancel_dump_traceback_later()

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()
