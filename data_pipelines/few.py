"""A few records of a data set, drawn by seed: few-shot transfer."""

from collections.abc import Iterator, Sequence

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.records import POSITIVE, Record


class Few(Sequence[Record]):
    """`count` of the records of `source`, balanced over the classes they show; another `seed` draws others.

    The classes of a record are its positive labels and those of its boxes and masks. Classes take turns, the rarest first; each
    takes the next of its records that is not taken yet, in an order drawn by the seed. UserError for fewer than `count` records.
    """

    def __init__(self, source: Sequence[Record], count: int, seed: int = 0):
        if not 0 < count <= len(source):
            raise UserError(f"shots: {count} records asked for, the split has {len(source)}")
        self._source = source
        self.places = balanced([classes_of(source[i]) for i in range(len(source))], count, seed)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Record:
        return self._source[self.places[index]]


def classes_of(record: Record) -> set[str]:
    """Names of what a record shows."""
    positive = {name for name, value in record.labels.items() if value == POSITIVE}
    return positive | set(record.box_classes) | set(record.mask_classes)


def balanced(classes: Sequence[set[str]], count: int, seed: int) -> list[int]:
    """`count` places of items whose classes are given, as `Few` chooses them, sorted."""
    order = np.random.default_rng(seed).permutation(len(classes)).tolist()
    names = sorted(set().union(*classes), key=lambda name: (sum(name in c for c in classes), name))
    queues = [[i for i in order if name in classes[i]] for name in names] + [[i for i in order if not classes[i]]]
    chosen: set[int] = set()
    for place in _turns(queues, chosen):
        if len(chosen) == count:
            break
        chosen.add(place)
    return sorted(chosen)


def _turns(queues: list[list[int]], taken: set[int]) -> Iterator[int]:
    """The first item not taken of each queue in turn, until all are empty."""
    positions = [iter(queue) for queue in queues]
    while positions:
        left = []
        for queue in positions:
            place = next((i for i in queue if i not in taken), None)
            if place is not None:
                left.append(queue)
                yield place
        positions = left
