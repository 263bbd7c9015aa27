"""Compiled programs as text: which instructions run, and how often."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

BITS = {"pred": 8, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "bf16": 16, "f16": 16, "s32": 32, "u32": 32,
        "f32": 32, "s64": 64, "u64": 64, "f64": 64, "c64": 64, "c128": 128}  # fmt: skip
_HEAD = re.compile(r"(ENTRY )?%?(\S+) \(.*\) -> .*\{$")
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\]")
_CALLED = re.compile(r"(?:to_apply|calls|body|condition|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_LIMIT = re.compile(r"s32\[\]\S* constant\((-?\d+)\)")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction of a computation. `shape` is its result as text, `rest` the text from the opcode on."""

    name: str
    shape: str
    opcode: str
    rest: str

    def calls(self) -> list[str]:
        """Names of the computations that it uses."""
        branches = [name.strip(" %") for group in _BRANCHES.findall(self.rest) for name in group.split(",")]
        return _CALLED.findall(self.rest) + branches

    def attribute(self, name: str) -> str | None:
        """A number in quotes or plain, such as estimated_cycles or channel_id."""
        match = re.search(rf'"?\b{name}"?[=:]"?(\d+)', self.rest)
        return match[1] if match else None


@dataclasses.dataclass(frozen=True)
class Run:
    """An instruction that the program executes `times` times, in the computation `where`."""

    instruction: Instruction
    times: int
    where: str


@dataclasses.dataclass(frozen=True)
class Program:
    """The computations of a module by name, and the one that it begins with."""

    computations: dict[str, list[Instruction]]
    entry: str

    @classmethod
    def parse(cls, text: str) -> Program:
        """From `compiled.as_text()`."""
        computations: dict[str, list[Instruction]] = {}
        entry = name = ""
        for line in text.splitlines():
            if head := _HEAD.match(line):
                name = head[2]
                computations[name] = []
                entry = name if head[1] else entry
            elif line.startswith("  ") and " = " in line and name:
                computations[name].append(_instruction(line.strip()))
        return cls(computations, entry)

    def runs(self) -> Iterator[Run]:
        """Every instruction that is executed; loops with their lengths, of the branches of a condition all."""
        return self._runs(self.entry, 1)

    def _runs(self, name: str, times: int) -> Iterator[Run]:
        for instruction in self.computations[name]:
            yield Run(instruction, times, name)
            if instruction.opcode == "while":
                condition, body = (
                    re.search(rf"{part}=%?([\w.-]+)", instruction.rest)[1] for part in ("condition", "body")
                )
                yield from self._runs(body, times * self.trips(instruction, condition))
            elif instruction.opcode in ("call", "conditional", "async-start"):
                for called in instruction.calls():
                    yield from self._runs(called, times)

    def trips(self, loop: Instruction, condition: str) -> int:
        """How often a loop turns: what the compiler says, else the number that its condition compares with, as loops of
        `jax.lax.scan` count from 0. A loop without such a number (a search, say) counts once."""
        if known := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.rest):
            return int(known[1])
        limits = [int(found) for i in self._all(condition) for found in _LIMIT.findall(f"{i.shape} {i.rest}")]
        return max([*limits, 1])

    def _all(self, name: str) -> Iterator[Instruction]:
        """The instructions of a computation and of those that it uses."""
        for instruction in self.computations.get(name, ()):
            yield instruction
            for called in instruction.calls():
                yield from self._all(called)

    def inside(self, instruction: Instruction) -> Iterator[Instruction]:
        """The instructions within a fusion."""
        for called in instruction.calls():
            yield from self._all(called)


def size(shape: str) -> int:
    """Bytes of a shape's arrays, of a tuple all of them."""
    total = 0
    for kind, sides in _ARRAY.findall(shape):
        total += BITS.get(kind, 0) * math.prod(int(side) for side in sides.split(",") if side) // 8
    return total


def _instruction(line: str) -> Instruction:
    name, rest = line.removeprefix("ROOT ").split(" = ", 1)
    end = _end_of_shape(rest)
    shape, rest = rest[:end], rest[end + 1 :]
    return Instruction(name.lstrip("%"), shape, rest.split("(", 1)[0], rest)


def _end_of_shape(text: str) -> int:
    """Where the first space outside parentheses is."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == " " and depth == 0:
            return place
    return len(text)
