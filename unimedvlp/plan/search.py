"""The largest batch that fits."""

from __future__ import annotations

from collections.abc import Callable

from unimedvlp.plan.estimate import DoesNotFit, Plan


def largest(make: Callable[[int], Plan], unit: int) -> Plan:
    """The plan of the largest batch, a multiple of `unit`, that fits: doubling until one does not, then halving the gap
    until it is an eighth. `make` compiles a batch size; DoesNotFit if not even `unit` fits."""
    best, fits, fails = make(unit), 1, None
    while fails is None or fails - fits > max(fits // 8, 1):
        middle = 2 * fits if fails is None else (fits + fails) // 2
        try:
            best, fits = make(middle * unit), middle
        except DoesNotFit:
            fails = middle
    return best
