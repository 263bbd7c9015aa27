"""Work on all cores, in order."""

import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2

from unimedvlp.errors import UserError

T, R = TypeVar("T"), TypeVar("R")
CHUNK = 16  # items a worker takes at a time
AHEAD = 3  # chunks under way for each worker
_function: Callable[[Any], Any]  # of a worker process


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def ordered(make: Callable[[], Callable[[T], R]], items: Iterable[T], workers: int) -> Iterator[R]:
    """`make()(item)` of every item, in their order. `make` is picklable and called once in each worker process.

    Work that one chunk holds, or one worker is to do, stays in this process. UserError if a worker process is killed.
    """
    items = iter(items)
    first = list(itertools.islice(items, CHUNK))
    following = list(itertools.islice(items, 1))
    if workers == 1 or not following:
        yield from map(make(), itertools.chain(first, following, items))
        return
    make()  # what is wrong with the source is told here: an error in a worker's start would be lost
    rest = itertools.chain(following, items)
    chunks = itertools.chain([first], iter(lambda: list(itertools.islice(rest, CHUNK)), []))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["data_pipelines.builder"])
    pool = ProcessPoolExecutor(workers, context, _start, (make,))
    under_way: deque = deque()
    try:
        for chunk in chunks:
            under_way.append(pool.submit(_work, chunk))
            if len(under_way) > AHEAD * workers:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    except BrokenProcessPool:
        raise UserError("a worker process was killed, perhaps for want of memory; try fewer --workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(make: Callable[[], Callable]) -> None:
    global _function
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _function = make()


def _end_with_parent() -> None:
    """A parent that was killed leaves no workers behind."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(chunk: list) -> list:
    return [_function(item) for item in chunk]
