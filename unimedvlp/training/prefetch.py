"""Batches made ready one or two steps ahead, in a thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from unimedvlp.errors import UserError


class Prefetch:
    """Calls `fetch(step)` for step = start, start + 1, ... stop - 1, at most `depth` ahead of `get`.

    Use as a context manager.
    """

    def __init__(self, fetch: Callable[[int], Any], start: int, stop: int, depth: int = 2):
        self._waited = 0.0
        self._ready: queue.Queue = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(fetch, start, stop), daemon=True, name="prefetch")
        self._thread.start()

    def get(self, step: int) -> Any:
        """The batch of `step`; an error in making it is raised here, with the step named."""
        begun = time.perf_counter()
        found, batch, error = self._ready.get()
        self._waited += time.perf_counter() - begun
        if isinstance(error, UserError):
            raise UserError(f"batch of step {found}: {error}") from error
        if error is not None:
            error.add_note(f"while preparing the batch of step {found}")
            raise error
        if found != step:
            raise ValueError(f"steps are taken in order: {found} is next, not {step}")
        return batch

    def take_waited(self) -> float:
        """Seconds that `get` waited since this was last asked."""
        waited, self._waited = self._waited, 0.0
        return waited

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(timeout=10)

    def _work(self, fetch: Callable[[int], Any], start: int, stop: int) -> None:
        for step in range(start, stop):
            try:
                item = (step, fetch(step), None)
            except BaseException as error:  # handed to the main thread by `get`
                item = (step, None, error)
            while not self._closed.is_set():
                try:
                    self._ready.put(item, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if self._closed.is_set() or item[2] is not None:
                return
