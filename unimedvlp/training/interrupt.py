"""SIGTERM (preemption) and Ctrl-C as a wish that the loop fulfils between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """While active, the first SIGTERM or SIGINT sets `asked`; a second SIGINT raises KeyboardInterrupt as usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
