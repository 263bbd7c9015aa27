"""The control that tells whether a model looks: every record with the images of another one."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from unimedvlp.records import Record


class ShuffledImages(Sequence):
    """A source whose records carry the images and views of another record; all else stays.

    The records that have images are put in a random cycle by `seed`, so that none keeps its own (unless it is alone).
    """

    def __init__(self, source: Sequence[Record], seed: int = 0):
        self._source = source
        self._donor = np.arange(len(source))
        places = [i for i in range(len(source)) if source[i].images]
        cycle = np.random.default_rng(seed).permutation(places).astype(int)
        self._donor[cycle] = np.roll(cycle, 1)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        donor = self._source[int(self._donor[index])]
        return dataclasses.replace(self._source[index], images=donor.images, views=donor.views)
