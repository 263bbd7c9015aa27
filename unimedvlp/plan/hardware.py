"""TPU chips and topologies: what a plan has to know about them.

To be compared with: the system pages of https://cloud.google.com/tpu/docs (peak, HBM, which sides close to a ring) and "How to
scale your model" (https://jax-ml.github.io/scaling-book/tpus, bandwidths). `dcn` is our estimate of a chip's share. The clock is
peak / (FLOPs a cycle of the matrix units); the compiler's cycles of a 4096-square product come to 87 % (v6e) to 97 % (v5e) of that.
"""

from __future__ import annotations

import dataclasses
import math
import re

from unimedvlp.errors import UserError


@dataclasses.dataclass(frozen=True)
class Chip:
    """One TPU chip. Peaks in FLOP/s of bfloat16 products, bandwidths in bytes/s.

    `link` is one link of the inter-chip interconnect in one direction; `ring` the least side of a slice that closes to a
    ring; `dcn` a chip's share of its host's network; `devices` how many JAX devices a chip is to the compiler.
    """

    peak: float
    flops_per_cycle: int
    hbm_gib: float
    hbm_bandwidth: float
    link: float
    ring: int
    dcn: float
    devices: int = 1

    @property
    def clock(self) -> float:
        """Cycles a second."""
        return self.peak / self.flops_per_cycle / self.devices


CHIPS = {
    "v4": Chip(275e12, 2 * 4 * 128**2, 32, 1.2e12, 4.5e10, 4, 3.1e9, devices=2),
    "v5e": Chip(197e12, 2 * 4 * 128**2, 16, 8.1e11, 4.5e10, 16, 3.1e9),
    "v5p": Chip(459e12, 2 * 8 * 128**2, 95, 2.8e12, 9e10, 4, 6.2e9),
    "v6e": Chip(918e12, 2 * 4 * 256**2, 32, 1.6e12, 9e10, 16, 1.25e10),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """`slices` equal slices of a chip kind; `shape` is the number of chips along each side of one."""

    kind: str
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def chip(self) -> Chip:
        """The chip."""
        return CHIPS[self.kind]

    @property
    def name(self) -> str:
        """One slice, as the compiler calls it: "v5e:16x16"."""
        return f"{self.kind}:{'x'.join(map(str, self.shape))}"

    @property
    def chips(self) -> int:
        """Chips of all slices."""
        return self.slices * math.prod(self.shape)

    def bandwidth(self, members: int) -> float:
        """Bytes/s that one chip sends within a slice when `members` chips talk: over both directions of every side that a
        group of this size needs, longest first; a side that is no ring serves only half."""
        total, spanned = 0.0, 1
        for side in sorted(self.shape, reverse=True):
            if side > 1 and spanned < members:
                spanned *= side
                total += self.chip.link * (2 if side >= self.chip.ring else 1)
        return total or self.chip.link

    def __str__(self) -> str:
        return self.name if self.slices == 1 else f"{self.slices} x {self.name}"


def parse(text: str, slices: int = 1) -> Topology:
    """A topology from "v5e:16x16" or "v5p:4x4x8"; UserError for a kind or a shape that does not exist."""
    match = re.fullmatch(r"(\w+):(\d+(?:x\d+){1,2})", text)
    kind = match[1] if match else text.partition(":")[0]
    if kind not in CHIPS:
        raise UserError(f"--topology {text}: unknown chip {kind!r}; known: {', '.join(CHIPS)}")
    sides = 2 if kind in ("v5e", "v6e") else 3
    shape = tuple(map(int, match[2].split("x"))) if match else ()
    if len(shape) != sides or min(shape) < 1:
        example = "16x16" if sides == 2 else "4x4x8"
        raise UserError(f"--topology {text}: a {kind} slice has {sides} sides, as in {kind}:{example}")
    if slices < 1:
        raise UserError(f"--slices {slices}: at least 1")
    return Topology(kind, shape, slices)
