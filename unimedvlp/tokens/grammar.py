"""Which tokens may follow: an automaton for every task, so that no decoded sequence can be malformed.

`build` walks once, in Python, through the states of a task's rules (`grammar_rules`) and writes them down as tables; decoding
looks up one row for every sequence. Our reconstruction; the forms are those of `sequences` and `region_sequences`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.tokens import grammar_rules as rules
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.geometry import MAX_POINTS
from unimedvlp.tokens.region_sequences import MAX_OBJECTS
from unimedvlp.tokens.vocabulary import Vocabulary

_END, _START = 0, 1  # places


class State(NamedTuple):
    """One row per sequence: place in the tables int32 [B], tokens left int32 [B], the last two tokens int32 [B, 2]."""

    place: jax.Array
    left: jax.Array
    last: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Automaton:
    """The tables of one grammar over S places, C kinds of tokens and U sets of tokens; implements `generate`'s `Grammar`.

    A place allows a set of tokens; where few tokens are left, only those that lead to the end the shortest way. It is a
    pytree, to be given to a jitted function as an argument or closed over.
    """

    sets: np.ndarray  # bool [U, V]
    usual: np.ndarray  # int32 [S], the set of a place
    closing: np.ndarray  # int32 [S], the set that leads to the end the shortest way
    need: np.ndarray  # int32 [S], tokens that must be left for the usual set
    above: np.ndarray  # bool [S], whether the next is no less than the last but one: ymax and xmax
    follow: np.ndarray  # int32 [S, C], the next place
    kind: np.ndarray  # int32 [V], the kind of a token
    length: int  # tokens that a sequence may have

    def start(self, batch: int) -> State:
        """The state of `batch` sequences that have not begun."""
        zeros = jnp.zeros((batch,), jnp.int32)
        return State(zeros + _START, zeros + self.length, jnp.zeros((batch, 2), jnp.int32))

    def __call__(self, state: State) -> jax.Array:
        """bool [B, V]: the ids that may come next, at least one; after the end PAD alone."""
        usual, closing, need, above = (_rows(x, state.place) for x in (self.usual, self.closing, self.need, self.above))
        allowed = _rows(self.sets, jnp.where(state.left >= need, usual, closing))
        floor = jnp.where(above, state.last[:, 0], 0)
        return allowed & (jnp.arange(allowed.shape[1]) >= floor[:, None])

    def next(self, state: State, token: jax.Array) -> State:
        """The state after token int32 [B]; one that was not allowed leads to the end."""
        place = jnp.asarray(self.follow)[state.place, _rows(self.kind, token)]
        return State(place, jnp.maximum(state.left - 1, 0), jnp.stack([state.last[:, 1], token], axis=1))


def build(
    vocabulary: Vocabulary,
    tasks: str | Iterable[str],
    *,
    length: int,
    objects: int = MAX_OBJECTS,
    points: int = MAX_POINTS,
    codes: int = 0,
    classes: Iterable[str] | None = None,
    planned: bool = False,
) -> Automaton:
    """The grammar of a task's responses, or of several tasks combined in the prompt's order, in at most `length` tokens.

    `length` is the decoder's `max_new`: a sequence that nears it is led to its end. At most `objects` boxes an image and
    `points` points a mask; `codes` is the number of an image's codes or, for `segment`, of a mask's in place of polygons;
    `classes` narrows what class slots accept; a `planned` report may begin with the classes it is about. UserError where not even the shortest response fits `length`.
    """
    tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    parts = [(task, vocabulary.task(task), rules.of_task(task, objects, points, codes, planned)) for task in tasks]
    places = _explore(rules.joined(parts))
    distance = _distances(places)
    if distance[_START] > length:
        raise UserError(
            f"a response to {' and '.join(tasks)} has at least {distance[_START]} tokens; length is {length}"
        )
    labels = sorted({abs(label) for moves in places for label in moves})
    kind = _kinds(vocabulary, labels, classes)
    column = {label: labels.index(abs(label)) for moves in places for label in moves}
    follow = np.full((len(places), len(labels) + 1), _END, np.int32)  # the last column: tokens of no kind
    sets: dict[frozenset[int], int] = {}
    usual, closing, need = (np.zeros(len(places), np.int32) for _ in range(3))
    for place, moves in enumerate(places):
        for label, target in moves.items():
            follow[place, column[label]] = target
        shortest = min(distance[target] for target in moves.values())
        nearest = frozenset(column[label] for label, target in moves.items() if distance[target] == shortest)
        usual[place] = sets.setdefault(frozenset(column[label] for label in moves), len(sets))
        closing[place] = sets.setdefault(nearest, len(sets))
        need[place] = 1 + max(distance[target] for target in moves.values())
    members = np.stack([np.isin(kind, list(chosen)) for chosen in sets])
    if not members.any(axis=1).all():
        raise UserError(f"a response to {' and '.join(tasks)} names a class, and there is none to name")
    above = np.array([rules.ABOVE in moves for moves in places])
    return Automaton(members, usual, closing, need, above, follow, kind, length)


def _rows(table: np.ndarray, rows: jax.Array) -> jax.Array:
    return jnp.asarray(table)[rows]


def _explore(rule: rules.Rule) -> list[dict[int, int]]:
    """For every place, label -> place. A place is a set of the rule's states, since a token may have several meanings at
    first (SEP before another component, or before another task); place 0 is the end, place 1 the start."""
    found = {frozenset([rules.END]): _END, frozenset([rule.start]): _START}
    places: list[dict[int, int]] = []
    queue = list(found)
    for states in queue:
        moves: dict[int, set] = {}
        for state in states:
            for label, target in rule.moves(state):
                moves.setdefault(label, set()).add(target)
        for target in map(frozenset, moves.values()):
            if target not in found:
                found[target] = len(found)
                queue.append(target)
        places.append({label: found[frozenset(target)] for label, target in moves.items()})
    return places


def _distances(places: Sequence[dict[int, int]]) -> list[int]:
    """The fewest tokens from each place to the end."""
    before: list[list[int]] = [[] for _ in places]
    for place, moves in enumerate(places):
        for target in moves.values():
            before[target].append(place)
    distance = {_END: 0}
    queue = [_END]
    for target in queue:
        for place in before[target]:
            if place not in distance:
                distance[place] = distance[target] + 1
                queue.append(place)
    return [distance[place] for place in range(len(places))]


def _kinds(vocabulary: Vocabulary, labels: Sequence[int], classes: Iterable[str] | None) -> np.ndarray:
    """The position in `labels` of each token's own label, int32 [V]; len(labels) for the tokens of none."""
    names = vocabulary.classes if classes is None else classes
    ranges = {
        rules.CLASS: [vocabulary.class_id(name) for name in names],
        rules.COORDINATE: range(v.COORDINATE_START, v.COORDINATE_START + v.COORDINATE_BINS),
        v.IMAGE_CODE_START: range(v.IMAGE_CODE_START, v.IMAGE_CODE_START + v.IMAGE_CODES),
        v.MASK_CODE_START: range(v.MASK_CODE_START, v.MASK_CODE_START + v.MASK_CODES),
        rules.TEXT: range(v.TEXT_START, v.TEXT_START + vocabulary.text_size),
    }
    kind = np.full(vocabulary.size, len(labels), np.int32)
    for position, label in enumerate(labels):
        kind[np.array(ranges.get(label, [label]), int)] = position
    return kind
