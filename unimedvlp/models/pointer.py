"""Coordinates taken over from objects that are already found: a pointer beside the composed decoder's own vocabulary.

The two decoders of UniMed are coupled, says the paper's abstract; that tokens may point at the boxes of the decomposed decoder's
queries is our reconstruction, after pointer-generator networks (See et al., 2017). To learn a thousand coordinate tokens from images
takes millions of boxes, to learn which found box comes next takes some thousands.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from unimedvlp.boxes import iou
from unimedvlp.models.cache import Cache
from unimedvlp.models.layers import EMBEDDING, dense, last_layer, named
from unimedvlp.models.places import decided, sine_code

PAD_ID, BOS_ID = 0, 1  # as in the vocabulary
LAST = 5  # ids that show whether the next token closes a box
SHARP = 0.1  # overlap by which a query speaks e times as much for a box


@struct.dataclass
class Places:
    """What can be pointed at, the four corner coordinates of Q boxes: keys `[B, 4 Q, D]` and values float32 `[B, 4 Q]` in 0..1; and
    the states `[B, Q, D]` of their queries."""

    keys: jax.Array
    values: jax.Array
    states: jax.Array

    @property
    def boxes(self) -> jax.Array:
        """Corners `[B, Q, 4]`."""
        return self.values.reshape(len(self.values), -1, 4)


@struct.dataclass
class Past:
    """What has been said: the last five ids int32 `[B, 5]`, and how far boxes cover each of the Q found ones, float32 `[B, Q]`."""

    ids: jax.Array
    covered: jax.Array

    @classmethod
    def of(cls, places: Places, ids: jax.Array | None = None) -> Past:
        """No box yet, behind ids `[B, 5]` if there are any."""
        ids = jnp.zeros((len(places.values), LAST), jnp.int32) if ids is None else ids
        return cls(ids, jnp.zeros(places.boxes.shape[:2], jnp.float32))


@struct.dataclass
class PointingCache:
    """A decoder's cache, the places that its tokens point at and what they have said, one row a hypothesis."""

    words: Cache
    places: Places
    past: Past

    @property
    def length(self) -> int:
        """How many slots there are, written or not."""
        return self.words.length

    def repeat(self, count: int) -> PointingCache:
        """Every row `count` times in a row, [B] -> [B * count]."""
        places, past = jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), (self.places, self.past))
        return PointingCache(self.words.repeat(count), places, past)

    def reorder(self, rows: jax.Array) -> PointingCache:
        """Row i takes over the past of row rows[i], a hypothesis of the same example: the places stay."""
        return self.replace(words=self.words.reorder(rows), past=jax.tree.map(lambda x: x[rows], self.past))


def last_ids(stream: jax.Array, mask: jax.Array) -> jax.Array:
    """The five ids `[B, 5]` up to the last one of T that is no pad by mask `[B, T]`, of ids `[B, 5 + T]`."""
    last = mask.shape[1] - jnp.argmax(mask[:, ::-1], axis=1)
    return jnp.take_along_axis(stream, last[:, None] + jnp.arange(LAST), axis=1)


class Pointer(nn.Module):
    """Mixes the decoder's own choice among the `count` coordinate tokens, the first of them `start`, with places it points at.

    A place stands for the tokens around it, less likely with their distance; how far that reaches is learned. The coordinates
    of a box are said one after the other, so a place is asked for by the coordinate that was said before it, in one code
    on both sides: without that, which box has been begun is not learned in thousands of steps. Boxes that were said are not said
    again: a place counts less by the overlap of its box with them (coverage, See et al., 2017). And what a box is called is read
    from the queries whose boxes overlap with it most, as soon as it has been said.
    """

    width: int
    start: int
    count: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.ask, self.key, self.said = (dense(self.width, ("embed", None), self.dtype) for _ in range(3))
        self.seen = dense(self.width, (None, "embed"), self.dtype)
        self.edge = self.param("edge", named(EMBEDDING, None, None), (4, self.width))
        self.trust = last_layer(1)
        self.again = self.param("again", nn.initializers.constant(-5.0), ())
        self.reach = self.param("reach", nn.initializers.constant(jnp.log(0.01)), ())  # log of a share of the image

    def places(self, states: jax.Array, corners: jax.Array) -> Places:
        """Query states `[B, Q, D]` with their boxes `[B, Q, 4]` as corners in 0..1."""
        before = self._coded(corners[..., :3])  # of the upper edge nothing, it is said first
        keys = self.key(states)[:, :, None] + self.edge.astype(self.dtype)
        keys = keys.at[:, :, 1:].add(before)
        flat = keys.reshape(len(keys), -1, self.width), corners.reshape(len(keys), -1).astype(jnp.float32)
        return Places(*flat, states)

    def look(self, hidden: jax.Array, ids: jax.Array, places: Places, past: Past) -> jax.Array:
        """States `[B, T, D]` behind tokens ids int32 `[B, T]`, which follow `past`; those that have just read the end of a box know its
        queries."""
        there, said = self._box(jnp.concatenate([past.ids, ids], axis=1), 0)
        overlap = iou(said[:, :, None], places.boxes[:, None])
        read = jnp.einsum("btq,bqd->btd", jax.nn.softmax(overlap / SHARP), places.states)
        best = overlap.max(-1, keepdims=True).astype(read.dtype)
        return hidden + self.seen(jnp.concatenate([read, best], axis=-1)) * there[..., None]

    def __call__(
        self,
        logits: jax.Array,
        hidden: jax.Array,
        ids: jax.Array,
        mask: jax.Array,
        places: Places,
        past: Past,
        *,
        decide: bool = False,
    ) -> tuple[jax.Array, Past]:
        """Logits `[B, T, V]` of states `[B, T, D]` behind tokens ids int32 `[B, T]`, which follow `past`: the coordinates together
        stay as likely as they were, in float32. `mask` bool `[B, T]` is False at pads on either side, which the new past lacks.

        To `decide` is to point at the likeliest place alone, where pointing is likelier than not, and otherwise as in `decided`.
        In the mixture places that lie close add up.
        """
        covered, past = self._follow(ids, mask, places, past)
        before = self._coded(self._place(ids)) * self._is_place(ids)[..., None]
        asked = (self.ask(hidden) + before) * self.width**-0.5
        scores = jnp.einsum("btd,bpd->btp", asked, places.keys, preferred_element_type=jnp.float32)
        trust = nn.sigmoid(self.trust(hidden.astype(jnp.float32)))
        scores += self.again * jnp.repeat(covered, 4, axis=-1)
        if decide:
            logits = decided(logits, self.start, self.count)
            pointed = self._around(jnp.take_along_axis(places.values, jnp.argmax(scores, axis=-1), axis=1))
            trust = jnp.round(trust)
        else:
            pointed = jnp.einsum("btp,bpc->btc", jax.nn.softmax(scores), self._around(places.values))
        pre, own, post = jnp.split(logits, [self.start, self.start + self.count], axis=-1)
        mixed = (1 - trust) * jax.nn.softmax(own) + trust * pointed
        own = jax.nn.logsumexp(own, axis=-1, keepdims=True) + jnp.log(mixed + 1e-9)
        return jnp.concatenate([pre, own, post], axis=-1), past

    def _follow(self, ids: jax.Array, mask: jax.Array, places: Places, past: Past) -> tuple[jax.Array, Past]:
        """How far boxes said up to each of ids `[B, T]`, since the last begin, cover the found ones, `[B, T, Q]`. A box counts as soon
        as another token follows it, but for pads and begins."""
        stream = jnp.concatenate([past.ids, ids], axis=1)
        there, said = self._box(stream, 1)
        closes = there & ~self._is_place(ids) & (ids != PAD_ID) & (ids != BOS_ID)
        covered = jnp.where(closes[..., None], iou(said[:, :, None], places.boxes[:, None]), 0)
        # In a row that holds several sequences, each stands above all of the one before.
        turn = 2.0 * jnp.cumsum(ids == BOS_ID, axis=1)[..., None]
        covered = jnp.concatenate([past.covered[:, None], covered + turn], axis=1)
        covered = jax.lax.cummax(covered, axis=1)[:, 1:] - turn
        return covered, Past(last_ids(stream, mask), covered[:, -1])

    def _box(self, stream: jax.Array, ago: int) -> tuple[jax.Array, jax.Array]:
        """Of ids `[B, LAST + T]`: whether four coordinates and no fifth had been said `ago` tokens before each of the last T, bool
        `[B, T]`, and these as a box `[B, T, 4]`."""
        back = [stream[:, LAST - ago - n : stream.shape[1] - ago - n] for n in range(5)]
        there = functools.reduce(jnp.logical_and, map(self._is_place, back[:4])) & ~self._is_place(back[4])
        return there, self._place(jnp.stack(back[3::-1], axis=-1))

    def _around(self, values: jax.Array) -> jax.Array:
        """How likely each coordinate token is meant by values `[...]` in 0..1: `[..., C]`."""
        bins = jnp.arange(self.count) / (self.count - 1)
        return jax.nn.softmax(-jnp.abs(bins - values[..., None]) * jnp.exp(-self.reach))

    def _is_place(self, ids: jax.Array) -> jax.Array:
        return (ids >= self.start) & (ids < self.start + self.count)

    def _place(self, ids: jax.Array) -> jax.Array:
        return (ids - self.start) / (self.count - 1)

    def _coded(self, coordinates: jax.Array) -> jax.Array:
        """Coordinates `[...]` in 0..1 -> `[..., D]`."""
        return self.said(sine_code(coordinates[..., None], 2 * self.width).astype(self.dtype))
