"""One encoder, two decoders that are coupled: the module tree of UniMed.

The composed decoder reads the decomposed one's query states beside the image, so that its tokens are grounded in the objects
that also give masks and classes. That, and everything the paper's abstract leaves open, is our reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.boxes import to_corners
from unimedvlp.errors import UserError
from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.decomposed_decoder import Decoded, DecomposedDecoder, cell_boxes
from unimedvlp.models.layers import EMBEDDING, dense, layer_norm, named, token_table
from unimedvlp.models.pixel_decoder import PixelDecoder
from unimedvlp.models.places import coordinate_rows, decided, sine_code
from unimedvlp.models.pointer import LAST, Past, Places, Pointer, PointingCache
from unimedvlp.models.teacher_forcing import response_states
from unimedvlp.models.text_encoder import TextEncoder

MEMORIES = ("both", "image", "queries")
Batch = Mapping[str, jax.Array]
Phrase = tuple[jax.Array, jax.Array]


class Memory(NamedTuple):
    """What the composed decoder sees: states [B, N, D], their mask [B, N], and the `places` it may point at, if any."""

    states: jax.Array
    mask: jax.Array
    places: Places | None = None


class Coupled(nn.Module):
    """`encoder` is a `Backbone`, made with parent=None; `width` is that of all else; depths are layers, lengths tokens.

    `memory` says what the composed decoder sees: "image", "queries" or "both"; with `detach` no gradient flows from it into
    the queries. `coordinates`: first id and number of the tokens that say places. `fine` as in `PixelDecoder`. `composed`
    and `decomposed` False leave that decoder out.
    """

    vocab: int
    encoder: nn.Module
    channels: int = 3
    width: int = 512
    heads: int = 8
    mlp: int = 2048
    pixel_depth: int = 6
    fine: bool = False
    text_depth: int = 12
    decomposed_depth: int = 9
    composed_depth: int = 6
    queries: int = 100
    selected: bool = False
    scale: float = 1.0
    memory: str = "both"
    detach: bool = False
    composed: bool = True
    decomposed: bool = True
    max_text: int = 77
    max_response: int = 512
    coordinates: tuple[int, int] = (0, 0)
    dropout: float = 0.0
    dtype: Any = jnp.float32
    remat: str = "none"

    def setup(self) -> None:
        if self.memory not in MEMORIES:
            raise UserError(f"system.model.memory {self.memory!r} is unknown: use one of {MEMORIES}")
        if not (self.composed or self.decomposed):
            raise UserError("system.model: composed and decomposed are both off; leave one on")
        if self.memory == "queries" and not self.decomposed:
            raise UserError("system.model.memory 'queries' needs the decomposed decoder")
        sizes = {"width": self.width, "heads": self.heads, "mlp": self.mlp, "dtype": self.dtype, "remat": self.remat}
        self.pixels = PixelDecoder(depth=self.pixel_depth, fine=self.fine, **sizes)
        self.table = token_table(self.vocab, self.width, self.dtype, coordinate_rows(*self.coordinates))
        self.text = TextEncoder(self.vocab, depth=self.text_depth, max_length=self.max_text, table=self.table, **sizes)
        if self.decomposed:
            self.name_projection = dense(self.width, ("embed", None), self.dtype)
            self.objects = DecomposedDecoder(
                depth=self.decomposed_depth, queries=self.queries, selected=self.selected, scale=self.scale, **sizes
            )
            self.label_bias = self.param("label_bias", nn.initializers.zeros, ())
        if self.composed:
            self.kind = self.param("kind", named(EMBEDDING, None, "embed"), (3, self.width))
            self.memory_norm = layer_norm(1e-6, self.dtype)
            self.locate = dense(self.width, (None, "embed"), self.dtype)
            self.words = ComposedDecoder(
                self.vocab,
                depth=self.composed_depth,
                max_length=self.max_response,
                table=self.table,
                dropout=self.dropout,
                **sizes,
            )
        if self._points:
            self.pointer = Pointer(self.width, *self.coordinates, self.dtype)
        self.pixel_head = dense(32 * 32 * self.channels, ("embed", None), self.dtype)

    def look(self, image: jax.Array, deterministic: bool = True):
        """Normalised image [B, H, W, C] -> memory maps [B, H_i, W_i, D] and mask features [B, h, w, D]."""
        return self.pixels(self.encoder(image, deterministic=deterministic), deterministic=deterministic)

    def restore(self, image: jax.Array, hidden: jax.Array) -> jax.Array:
        """Pixels [B, H, W, C] of an image of which blocks `hidden` bool [B, H / 32, W / 32] are not seen (SimMIM)."""
        covered = hidden.repeat(32, axis=1).repeat(32, axis=2)[..., None]
        coarse = self.encoder(jnp.where(covered, 0, image))[-1]
        b, h, w, _ = coarse.shape
        pixels = self.pixel_head(coarse).reshape(b, h, w, 32, 32, self.channels)
        return pixels.transpose(0, 1, 3, 2, 4, 5).reshape(image.shape)

    def name_vectors(self, ids: jax.Array, mask: jax.Array) -> jax.Array:
        """Class names, ids and mask [C, L], as vectors [C, D] of unit length: mean token state, projected."""
        states = self.text(ids, mask)
        mean = (states * mask[..., None]).sum(1) / jnp.maximum(mask.sum(1, keepdims=True), 1)
        vectors = self.name_projection(mean).astype(jnp.float32)
        return vectors * jax.lax.rsqrt(jnp.square(vectors).sum(-1, keepdims=True) + 1e-12)

    def decompose(self, seen, names: jax.Array, phrase: Phrase | None = None) -> Decoded:
        """The decomposed decoder on what `look` returned; `phrase` is the ids and mask [B, L] of a referring text."""
        text = (None, None) if phrase is None else (self.text(*phrase), phrase[1])
        return self.objects(*seen, names, *text)

    def label_logits(self, decoded: Decoded, names: jax.Array) -> jax.Array:
        """Scores [B, C] of image labels, from all queries weighed by the global one: log odds."""
        return self.objects.compare(decoded.image, names) + self.label_bias

    def recall(self, seen, decoded: Decoded | None) -> Memory:
        """What the composed decoder sees: the two coarsest maps, queries and their sum."""
        parts, places = [], None
        if self.memory != "queries" or decoded is None:
            maps = [(m.reshape(m.shape[0], -1, self.width), cell_boxes(*m.shape[1:3])) for m in seen[0][:2]]
            parts += [(0, self._located(*one)) for one in maps]
        if self.memory != "image" and decoded is not None:
            boxes = jax.lax.stop_gradient(decoded.latent["box"][-1])
            states = (self._located(decoded.states["latent"], boxes), decoded.image[:, None].astype(self.dtype))
            states = [jax.lax.stop_gradient(x) if self.detach else x for x in states]
            parts += [(1 + i, x) for i, x in enumerate(states)]
            if self._points:
                places = self.pointer.places(states[0], to_corners(boxes))
        kind = self.kind.astype(self.dtype)
        memory = self.memory_norm(jnp.concatenate([x + kind[i] for i, x in parts], axis=1))
        return Memory(memory, jnp.ones(memory.shape[:2], bool), places)

    def _located(self, x: jax.Array, boxes: jax.Array) -> jax.Array:
        """Tokens [B, n, D] that tell where they are: the corners of their boxes [.., n, 4] (centres), in one code for all."""
        return x + self.locate(sine_code(to_corners(boxes), 2 * self.width).astype(self.dtype))

    @property
    def _points(self) -> bool:
        """Whether there are found boxes in the memory, and tokens for them."""
        return self.composed and self.decomposed and self.memory != "image" and self.coordinates[1] > 0

    def respond(
        self, batch: Batch, given: jax.Array, memory: Memory, deterministic: bool = True, decide: bool = False
    ) -> jax.Array:
        """Logits [B, R, V] of the response, see `response_states`; to `decide` by, as `extend` has them, or as likelihoods."""
        hidden, read = response_states(self.words, batch, given, (memory.states, memory.mask), deterministic)
        if memory.places is None:
            logits = self.words.logits(hidden)
            return decided(logits, *self.coordinates) if decide else logits
        count = given.shape[1]
        before = jnp.pad(read[:, :-count], ((0, 0), (LAST, 0)))[:, -LAST:]
        read, past = read[:, -count:], Past.of(memory.places, before)
        return self._pointed(hidden, read, jnp.ones(read.shape, bool), memory.places, past, decide)[0]

    def start(self, memory: Memory, length: int):
        """An empty cache of `length` tokens over what `recall` returned."""
        cache = self.words.start(memory.states, memory.mask, length)
        return cache if memory.places is None else PointingCache(cache, memory.places, Past.of(memory.places))

    def extend(self, ids, mask, cache):
        """The composed decoder's `extend`, with logits to decide by, its pointer's if it has one."""
        if not isinstance(cache, PointingCache):
            logits, cache = self.words.extend(ids, mask, cache)
            return decided(logits, *self.coordinates), cache
        hidden, words = self.words.extend_hidden(ids, mask, cache.words)
        logits, past = self._pointed(hidden, ids, mask, cache.places, cache.past, True)
        return logits, PointingCache(words, cache.places, past)

    def _pointed(self, hidden: jax.Array, ids: jax.Array, mask: jax.Array, places: Places, past: Past, decide: bool):
        """Logits [B, T, V] of states [B, T, D] that have read ids [B, T], and the new past."""
        hidden = self.pointer.look(hidden, ids, places, past)
        return self.pointer(self.words.logits(hidden), hidden, ids, mask, places, past, decide=decide)
