"""What the compiler says of a training step: memory by class, time by its own cycles, communication."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from typing import Any

import jax

from unimedvlp.errors import UserError
from unimedvlp.plan.collectives import Collective, collectives
from unimedvlp.plan.hardware import Topology
from unimedvlp.plan.hlo import Program
from unimedvlp.training.flops import flops_per_step
from unimedvlp.training.state import TrainState

GIB = 2**30
_TOO_BIG = (
    re.compile(r"Used ([\d.]+)([GM]) of ([\d.]+)([GM]) hbm"),
    re.compile(r"temporaries \(([\d.]+)([GM])\) exceeds available HBM \(([\d.]+)([GM])\)"),
)


class DoesNotFit(UserError):
    """The program needs more memory than a chip has: `used` and `limit` in GiB."""

    def __init__(self, used: float, limit: float):
        super().__init__(f"needs {used:.2f} GiB a chip, {limit:.2f} GiB are there")
        self.used, self.limit = used, limit


@dataclasses.dataclass(frozen=True)
class Plan:
    """A compiled step on a topology. FLOPs are of one step on all chips; seconds are of one step.

    `compute_s` sums the compiler's cycles; `collective_s` is the least time of the communication. A step takes `step_s` if
    they overlap fully, and `compute_s + collective_s` if not at all. `compiler_flops` is the compiler's own count per chip,
    in which every loop counts once, and `counted_once` ours of the same. `memory` is GiB a chip by class. `unknown` counts
    the runs of hand-written kernels (Pallas), for which the compiler has no cycles: with any, `compute_s` is too small.
    """

    topology: Topology
    mesh: dict[str, int]
    global_batch: int
    flops: float
    hardware_flops: float
    compiler_flops: float
    counted_once: float
    compute_s: float
    collective_s: float
    memory: dict[str, float]
    collectives: list[Collective]
    unknown: int = 0

    @property
    def step_s(self) -> float:
        """Seconds with communication fully hidden."""
        return max(self.compute_s, self.collective_s)

    def mfu(self, seconds: float) -> float:
        """Model-FLOPs utilisation of a step of so many seconds."""
        return self.flops / seconds / (self.topology.chips * self.topology.chip.peak)

    def by_kind(self) -> dict[str, dict[str, float]]:
        """Count, GiB and seconds of a step's communication by kind."""
        found: dict[str, dict[str, float]] = defaultdict(lambda: {"count": 0, "gib": 0.0, "seconds": 0.0})
        for each in self.collectives:
            row = found[each.kind]
            row["count"] += each.times
            row["gib"] += each.times * each.bytes / GIB
            row["seconds"] += each.seconds(self.topology)
        return dict(found)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        whole = self.compute_s + self.collective_s
        return {
            "topology": str(self.topology),
            "chips": self.topology.chips,
            "mesh": {axis: size for axis, size in self.mesh.items() if size > 1},
            "global_batch": self.global_batch,
            "hbm_gib_per_chip": self.memory["peak"],
            "memory_gib": self.memory,
            "flops_per_step": self.flops,
            "hardware_flops_per_step": self.hardware_flops,
            "flops_checked": {"loops_once": self.counted_once, "compiler": self.compiler_flops},
            "step_seconds": self.step_s,
            "step_seconds_no_overlap": whole,
            "mfu": self.mfu(self.step_s),
            "mfu_no_overlap": self.mfu(whole),
            "collectives": self.by_kind(),
            "kernels_without_estimate": self.unknown,
        }


def estimate(step: Any, state: TrainState, batch: Any, topology: Topology, mesh: dict[str, int]) -> Plan:
    """Compile a jitted step for abstract state and batch (with shardings on devices of `topology`) and read the result.

    Raises:
      DoesNotFit: if the compiler finds that the program needs more memory than a chip has.
    """
    try:
        compiled = step.lower(state, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        if lacking := too_big(str(error)):
            raise lacking from None
        raise
    program, chip = Program.parse(compiled.as_text()), topology.chip
    moves, cycles = collectives(program), estimated_cycles(program)
    if not cycles:
        raise UserError("the compiler gives no estimated cycles for this program; plan needs the TPU compiler")
    return Plan(
        topology=topology,
        mesh=mesh,
        global_batch=next(iter(batch.values())).shape[0],
        flops=flops_per_step(step, state, batch),
        hardware_flops=flops_per_step(step, state, batch, recompute=True),
        compiler_flops=compiled.cost_analysis()["flops"] * chip.devices,
        counted_once=flops_per_step(step, state, batch, recompute=True, loops=False) / topology.chips,
        compute_s=cycles / chip.clock,
        collective_s=sum(each.seconds(topology) for each in moves),
        memory=memory(compiled.memory_analysis(), state, batch, chip.devices),
        collectives=moves,
        unknown=kernels_without_estimate(program),
    )


def too_big(message: str) -> DoesNotFit | None:
    """What the compiler's message says of memory, if it is that which is short."""
    for pattern in _TOO_BIG:
        if found := pattern.search(message):
            used, limit = (float(found[i]) / (1 if found[i + 1] == "G" else 1024) for i in (1, 3))
            return DoesNotFit(used, limit)
    return None


def estimated_cycles(program: Program) -> int:
    """The compiler's cycles of all instructions, loops with their lengths; asynchronous copies cost nothing there."""
    return sum(run.times * int(run.instruction.attribute("estimated_cycles") or 0) for run in program.runs())


def kernels_without_estimate(program: Program) -> int:
    """Runs of hand-written kernels that carry no cycles."""
    kernels = (run for run in program.runs() if 'custom_call_target="tpu_custom_call"' in run.instruction.rest)
    return sum(run.times for run in kernels if not run.instruction.attribute("estimated_cycles"))


def memory(stats: Any, state: TrainState, batch: Any, devices: int = 1) -> dict[str, float]:
    """GiB a chip: parameters, optimiser (with the average), batch, the rest (activations, gradients, copies), and the peak."""
    classes = {
        "parameters": _bytes(state.params),
        "optimizer": _bytes(state.opt_state) + _bytes(state.ema),
        "batch": _bytes(batch),
    }
    peak = stats.peak_memory_in_bytes
    classes["activations"] = max(peak - sum(classes.values()), 0)
    return {name: count * devices / GIB for name, count in (classes | {"peak": peak}).items()}


def _bytes(tree: Any) -> int:
    """Bytes of a device's shards of a tree of `jax.ShapeDtypeStruct`s."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))
