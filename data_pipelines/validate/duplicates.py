"""Images that occur more than once: with equal pixels, or so alike that they must be copies (another size or compression).

Two images are near duplicates if their hashes differ in at most `NEAR` of 256 bits and their 32 x 32 thumbnails correlate with
at least `ALIKE`. The second test keeps apart what only looks alike from afar: different people in the same standard view.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from data_pipelines.validate.pictures import Look

NEAR = 24
ALIKE = 0.998
BLOCK = 4096  # images compared at once; bounds the memory


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an image is: record `index` of `split`, its view number and the study's id."""

    split: str
    index: int
    view: int
    study_id: str


@dataclasses.dataclass(frozen=True)
class Group:
    """Images that are the same picture; exact if all their pixels are equal."""

    places: tuple[Place, ...]
    exact: bool

    @property
    def splits(self) -> list[str]:
        """The splits that share the picture."""
        return list(dict.fromkeys(place.split for place in self.places))


class Duplicates:
    """Remembers what images look like, 300 bytes and a thumbnail each, and finds those that are the same."""

    def __init__(self):
        self._places: dict[bytes, list[Place]] = defaultdict(list)
        self._codes: list[np.ndarray] = []
        self._thumbnails: list[np.ndarray] = []

    def add(self, place: Place, seen: Look) -> None:
        """Remember a readable image; constant ones are left out, since they say nothing."""
        if seen.constant:
            return
        if seen.digest not in self._places:
            self._codes.append(seen.code)
            self._thumbnails.append(seen.thumbnail)
        self._places[seen.digest].append(place)

    def groups(self, progress: Callable[[Sequence], Iterable] = iter) -> list[Group]:
        """All groups of two images and more, those across splits first. Every pair of distinct images is compared."""
        members = list(self._places.values())
        sets = DisjointSet(range(len(members)))
        for i, j in self._pairs(progress):
            sets.merge(i, j)
        found = []
        for same in sets.subsets():
            places = tuple(place for one in sorted(same) for place in members[one])
            if len(places) > 1:
                found.append(Group(places, exact=len(same) == 1))
        return sorted(found, key=lambda group: -len(group.splits))

    def _pairs(self, progress: Callable[[Sequence], Iterable]) -> Iterator[tuple[int, int]]:
        if not self._codes:
            return
        codes = np.where(np.stack(self._codes), np.float32(1), np.float32(-1))
        thumbnails = np.stack(self._thumbnails).reshape(len(codes), -1)
        for first in progress(range(0, len(codes), BLOCK)):
            for second in range(first, len(codes), BLOCK):
                agreement = codes[first : first + BLOCK] @ codes[second : second + BLOCK].T
                a, b = np.nonzero(agreement >= codes.shape[1] - 2 * NEAR)
                a, b = a[a + first < b + second] + first, b[a + first < b + second] + second
                for at in range(0, len(a), BLOCK):
                    i, j = a[at : at + BLOCK], b[at : at + BLOCK]
                    alike = correlation(thumbnails[i], thumbnails[j]) >= ALIKE
                    yield from zip(i[alike].tolist(), j[alike].tolist(), strict=True)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row of `a` `[N, D]` with that of `b`, `[N]`; 0 where a row is constant."""
    a, b = (x - x.mean(1, keepdims=True) for x in (a.astype(np.float32), b.astype(np.float32)))
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.divide((a * b).sum(1), scale, out=np.zeros_like(scale), where=scale > 0)
