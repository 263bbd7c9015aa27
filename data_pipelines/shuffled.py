"""The control that tells whether a model looks: every record with the images of another one."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from unimedvlp.records import Record


class ShuffledImages(Sequence):
    """A source whose records carry the images and views of another record of the same modality; all else stays.

    Within each modality the records that have images are put in a random cycle by `seed`, so that none keeps its own; a
    modality with a single one keeps it.
    """

    def __init__(self, source: Sequence[Record], seed: int = 0):
        self._source = source
        self._donor = np.arange(len(source))
        kinds: dict[str, list[int]] = {}
        for i in range(len(source)):
            if source[i].images:
                kinds.setdefault(source[i].modality, []).append(i)
        rng = np.random.default_rng(seed)
        for places in kinds.values():
            cycle = rng.permutation(places)
            self._donor[cycle] = np.roll(cycle, 1)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        donor = self._source[int(self._donor[index])]
        return dataclasses.replace(self._source[index], images=donor.images, views=donor.views)
