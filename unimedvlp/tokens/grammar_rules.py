"""The rules of every task's response: from a state, which tokens may come and what state follows.

A token is named by its id, one of a range by the range's first id. A state is any hashable value; counts are part of it, so
that the rules of one task stay a few lines and tables can be made by walking through all states.
"""

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

from unimedvlp.errors import UserError
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.geometry import MIN_POINTS

CLASS, COORDINATE, TEXT = v.CLASS_START, v.COORDINATE_START, v.TEXT_START
ABOVE = -COORDINATE  # a coordinate no less than the last but one
END = "end"
Moves = Iterator[tuple[int | None, Hashable]]


class Rule(NamedTuple):
    """`moves(state)` yields (token, next state), and (None, number of objects said) where the rule may end."""

    start: Hashable
    moves: Callable[[Hashable], Moves]


def detection(objects: int) -> Rule:
    """`(ymin xmin ymax xmax class|NOISE)*`, at most `objects` of them; NOISE is no object."""

    def moves(state: tuple[int, int, int]) -> Moves:
        boxes, real, slot = state
        if slot == 0:
            yield None, real
        if slot == 4:
            yield CLASS, (boxes + 1, real + 1, 0)
            yield v.NOISE, (boxes + 1, real, 0)
        elif boxes < objects:
            yield (COORDINATE if slot < 2 else ABOVE), (boxes, real, slot + 1)

    return Rule((0, 0, 0), moves)


def referral() -> Rule:
    """`ymin xmin ymax xmax`, or NEG."""

    def moves(slot: int) -> Moves:
        if slot == 0:
            yield v.NEG, -1
        if slot in (-1, 4):
            yield None, int(slot == 4)
        else:
            yield (COORDINATE if slot < 2 else ABOVE), slot + 1

    return Rule(0, moves)


def outline(points: int) -> Rule:
    """`y x y x y x ... (SEP y x ...)*` of at most `points` points, at least three a component; or NEG."""
    if points < MIN_POINTS:
        raise UserError(f"an outline has at least {MIN_POINTS} points; points is {points}")

    def moves(state: tuple[int, int, bool] | str) -> Moves:
        if state == "empty":
            yield None, 0
            return
        used, here, half = state  # points so far, of them in this component (counted to three), whether x is due
        if half:
            yield COORDINATE, (used + 1, min(here + 1, MIN_POINTS), False)
            return
        if used == 0:
            yield v.NEG, "empty"
        if used < points:
            yield COORDINATE, (used, here, True)
        if here == MIN_POINTS:
            yield None, 0
            if used + MIN_POINTS <= points:
                yield v.SEP, (used, 0, False)

    return Rule((0, 0, False), moves)


def one_of(*tokens: int) -> Rule:
    """One token."""

    def moves(said: bool) -> Moves:
        yield from [(None, 0)] if said else [(token, True) for token in tokens]

    return Rule(False, moves)


def text() -> Rule:
    """Any text, of any length."""

    def moves(state: None) -> Moves:
        yield None, 0
        yield TEXT, state

    return Rule(None, moves)


def planned_text() -> Rule:
    """Any text, possibly behind the classes that it is about: `(class* SEP)? text`."""

    def moves(state: str) -> Moves:
        if state != "plan":
            yield None, 0
            yield TEXT, "text"
        if state != "text":
            yield CLASS, "plan"
            yield v.SEP, "text"

    return Rule("start", moves)


def codes(start: int, count: int) -> Rule:
    """`count` codes of the range that begins at `start`."""
    if count < 1:
        raise UserError("a grammar of codes needs their number: codes=...")

    def moves(said: int) -> Moves:
        yield (start, said + 1) if said < count else (None, 0)

    return Rule(0, moves)


def of_task(task: str, objects: int, points: int, count: int, planned: bool = False) -> Rule:
    """The rule of one task's response, without EOS; `count` codes, where they are asked for; a `planned` report."""
    if task == "report" and planned:
        return planned_text()
    if task in ("caption", "report", "summarise", "answer", "multimodal_summarise"):
        return text()
    if task in ("reconstruct", "generate_image"):
        return codes(v.IMAGE_CODE_START, count)
    if task == "segment":
        return codes(v.MASK_CODE_START, count) if count else outline(points)
    simple = {
        "classify": one_of(CLASS),
        "findings": one_of(v.POS, v.NEG, v.UNCERTAIN),
        "detect": detection(objects),
        "refer": referral(),
    }
    if task not in simple:
        raise UserError(f"task {task!r} has no grammar")
    return simple[task]


def joined(parts: Sequence[tuple[str, int, Rule]]) -> Rule:
    """Parts (task, its token, its rule) as one response: `body (SEP task body)* EOS`, then pads.

    Behind `detect` or `refer`, `segment` comes once for every object. A state is (part, how often it comes again, state in it),
    where None in place of the last means that the part's task token is due.
    """
    tasks = [task for task, _, _ in parts]
    for before, task in itertools.pairwise(tasks):
        if task == "segment" and before not in ("detect", "refer"):
            raise UserError(f"segment cannot follow {before}: it comes first, or behind detect or refer")

    def after(part: int, again: int, objects: int) -> Moves:
        if again:
            yield v.SEP, (part, again - 1, None)
        elif part + 1 == len(parts):
            yield v.EOS, END
        elif tasks[part + 1] == "segment" and not objects:
            yield from after(part + 1, 0, 0)
        else:
            yield v.SEP, (part + 1, objects - 1 if tasks[part + 1] == "segment" else 0, None)

    def moves(state: tuple[int, int, tuple | None] | str) -> Moves:
        if state == END:
            yield v.PAD, END
            return
        part, again, inner = state
        _, token, rule = parts[part]
        if inner is None:
            yield token, (part, again, (rule.start,))
            return
        for label, value in rule.moves(inner[0]):
            yield from after(part, again, value) if label is None else [(label, (part, again, (value,)))]

    return Rule((0, 0, (parts[0][2].start,)), moves)
