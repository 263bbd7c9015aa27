"""Guidance: what a part of the prompt changes in the next token is made stronger.

Classifier-free guidance (Ho and Salimans, 2022) for text (Sanchez et al., 2023): the decoder reads the prompt twice, with that
part and without it, and the difference of the two log-probabilities is multiplied. Of use where the part concerns few words
of a text, which the likeliest text then passes over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import struct

from unimedvlp.models.cache import Cache

Extend = Callable[[jax.Array, jax.Array, Cache], tuple[jax.Array, Cache]]


class Guide(NamedTuple):
    """`hidden` bool [B, P]: the guiding part of the prompt, never its last token. `strength` float32 []: 1 is the prompt as it
    is, 0 the prompt without that part."""

    hidden: jax.Array
    strength: jax.Array


@struct.dataclass
class Pair:
    """Two caches that move together; `hidden` until the prompt is read."""

    given: Cache
    plain: Cache
    hidden: jax.Array | None

    @property
    def length(self) -> int:
        """How many slots there are, written or not."""
        return self.given.length

    def repeat(self, count: int) -> Pair:
        """Every row `count` times in a row, [B] -> [B * count]."""
        return self.replace(given=self.given.repeat(count), plain=self.plain.repeat(count))

    def reorder(self, rows: jax.Array) -> Pair:
        """Row i becomes row rows[i], int32 [B]."""
        return self.replace(given=self.given.reorder(rows), plain=self.plain.reorder(rows))


def guided(extend: Extend, cache: Cache, guide: Guide) -> tuple[Extend, Pair]:
    """The guided form of a decoder's `extend` and of its fresh cache, both for `generate`."""

    def both(ids: jax.Array, mask: jax.Array, pair: Pair) -> tuple[jax.Array, Pair]:
        logits, given = extend(ids, mask, pair.given)
        other, plain = extend(ids, mask if pair.hidden is None else mask & ~pair.hidden, pair.plain)
        logits, other = jax.nn.log_softmax(logits), jax.nn.log_softmax(other)
        return other + guide.strength * (logits - other), Pair(given, plain, None)

    return both, Pair(cache, cache, guide.hidden)
