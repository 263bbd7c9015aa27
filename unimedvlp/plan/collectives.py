"""Communication of a compiled program: how many operations of which kind, their bytes, and the time that they take at least."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

from unimedvlp.plan.hardware import Topology
from unimedvlp.plan.hlo import Instruction, Program, size

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BETWEEN_SLICES = "send between slices"
_LIST = re.compile(r"replica_groups=\{\{([\d,]+)\}")
_IOTA = re.compile(r"replica_groups=\[\d+,(\d+)\]<=")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One operation: `bytes` is the whole array on one chip (its larger end), `members` the size of a group, `times` how often."""

    kind: str
    bytes: int
    members: int
    times: int

    def seconds(self, topology: Topology) -> float:
        """Time of all its runs by ring algorithms at full bandwidth, without start-up."""
        if self.kind == BETWEEN_SLICES:
            return self.times * self.bytes / topology.chip.dcn
        share = (self.members - 1) / self.members
        factor = {"all-reduce": 2 * share, "collective-permute": 1.0, "all-to-all": share / 2}.get(self.kind, share)
        return self.times * factor * self.bytes / topology.bandwidth(self.members)


def collectives(program: Program) -> list[Collective]:
    """The operations of a program. The parts of an asynchronous one, which share a channel, are one operation."""
    found: dict[tuple[str, str], Collective] = {}
    for run in program.runs():
        for kind, instruction in _kinds(program, run.instruction):
            members = _members(instruction.rest)
            if members > 1 or kind == BETWEEN_SLICES:
                channel = (instruction.attribute("channel_id") or instruction.name, run.where)
                found[channel] = Collective(kind, _bytes(kind, instruction, members), members, run.times)
    return list(found.values())


def _kinds(program: Program, instruction: Instruction) -> Iterator[tuple[str, Instruction]]:
    """What an instruction is, or, if it is a fusion, what is inside."""
    if instruction.opcode == "fusion":
        for inner in program.inside(instruction):
            for kind, each in _kinds(program, inner):
                scattered = kind == "all-reduce" and "calls=%all-reduce-scatter" in instruction.rest
                yield ("reduce-scatter" if scattered else kind), each
    elif instruction.opcode == "send" and "megascale" in instruction.rest:
        yield BETWEEN_SLICES, instruction
    elif (kind := instruction.opcode.removesuffix("-start")) in KINDS:
        yield kind, instruction


def _bytes(kind: str, instruction: Instruction, members: int) -> int:
    result = size(instruction.shape)
    if instruction.opcode.endswith("-start") and instruction.shape.startswith("("):
        result = size(instruction.shape.split(", ")[-1])
    return result * members if instruction.opcode == "reduce-scatter" else result


def _members(rest: str) -> int:
    if found := _LIST.search(rest):
        return found[1].count(",") + 1
    if found := _IOTA.search(rest):
        return int(found[1])
    if found := _MESH.search(rest):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", found[2]))
    return 2 if "source_target_pairs" in rest else 1
