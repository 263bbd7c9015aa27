"""Which (data set, task) each example of the endless training stream comes from: a pure function of its index."""

import functools
from collections.abc import Sequence

import numpy as np

from unimedvlp.errors import UserError

BLOCK = 4096  # examples in which every weight is met; weights are held to 1 / BLOCK


def temperature_weights(sizes: Sequence[int], temperature: float = 1.0) -> np.ndarray:
    """Weights `[K]` proportional to `size ** (1 / temperature)`: 1 follows the sizes, infinity makes all equal.

    Temperature mixing as in multilingual pre-training (Arivazhagan et al., 2019).
    """
    if temperature < 1:
        raise UserError(f"mixture: temperature {temperature} is below 1; 1 follows the sizes, larger evens them out")
    weights = np.asarray(sizes, np.float64) ** (1 / temperature)
    return weights / weights.sum()


class Mixture:
    """A stream over K entries whose composition is `weights`, exactly in every block of `BLOCK` examples.

    Within a block the examples of one entry are spread evenly with random jitter, so that every batch is close to the
    weights too. The same (weights, seed) always gives the same stream, and any place of it is found without walking to it.
    """

    def __init__(self, weights: Sequence[float], seed: int = 0):
        weights = np.asarray(weights, np.float64)
        if not len(weights) or not np.all(np.isfinite(weights)) or np.any(weights <= 0):
            raise UserError(f"mixture: weights {weights.tolist()} must be positive numbers; leave an entry out instead")
        if len(weights) > BLOCK:
            raise UserError(f"mixture: {len(weights)} entries, at most {BLOCK} fit")
        self.weights = weights / weights.sum()
        self.quotas = _quotas(self.weights)
        self._seed = seed
        self._block = functools.lru_cache(maxsize=8)(self._draw)

    def choose(self, index: int) -> tuple[int, int]:
        """The entry of example `index`, and how many examples of that entry came before it."""
        block, place = divmod(index, BLOCK)
        entries, ranks = self._block(block)
        entry = int(entries[place])
        return entry, block * int(self.quotas[entry]) + int(ranks[place])

    def _draw(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self._seed, block))
        entries = np.repeat(np.arange(len(self.quotas)), self.quotas)
        ranks = np.concatenate([np.arange(q) for q in self.quotas])
        places = (ranks + rng.random(BLOCK)) / self.quotas[entries]
        order = np.argsort(places, kind="stable")
        return entries[order], ranks[order]


def _quotas(weights: np.ndarray) -> np.ndarray:
    """Whole numbers `[K]` of examples a block, BLOCK together, by largest remainder; at least 1 each."""
    shares = weights * BLOCK
    quotas = np.floor(shares).astype(np.int64)
    left = BLOCK - quotas.sum()
    quotas[np.argsort(quotas - shares, kind="stable")[:left]] += 1
    for entry in np.flatnonzero(quotas == 0):
        quotas[np.argmax(quotas)] -= 1
        quotas[entry] = 1
    return quotas
