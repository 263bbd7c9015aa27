"""Decomposed decoder: an ordered input queue -> pixel outputs (masks, boxes) and semantic outputs (likeness to class names).

The paper's abstract gives the two output types and the queue; layers, masked cross-attention (Cheng et al., 2022) and heads follow
X-Decoder's public code, which it resembles. Our reconstruction: latent queries that begin at the likeliest places of the
memory (as in Mask DINO, Li et al., 2023), and boxes refined from layer to layer, both so that it learns from little data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from unimedvlp.models.input_queue import ORDER, attention_table, places
from unimedvlp.models.layers import EMBEDDING, Mlp, MultiHeadAttention, constrain, dense, layer_norm, named
from unimedvlp.models.places import grid_points, sine_code
from unimedvlp.models.query_heads import QueryHeads
from unimedvlp.models.stack import REMAT
from unimedvlp.parallel.operations import pick

Arrays = Mapping[str, jax.Array]


@struct.dataclass
class Decoded:
    """`latent` and, with a text, `referring`: outputs of all N = depth + 1 layers by name: `class` [N, B, Q, C], `mask`
    [N, B, Q, h, w], `box` [N, B, Q, 4] (centres). `proposals`: the same of every place of the memory, [1, B, S, ...], without
    masks; None for learned queries. `states`: last states of each segment, normalised, [B, n, D]. `image` [B, D]: all queries
    weighed by their likeness to the global one."""

    latent: Arrays
    referring: Arrays | None
    proposals: Arrays | None
    states: Arrays
    image: jax.Array


class Layer(nn.Module):
    """Masked cross-attention to one memory map, self-attention by the queue's table, feed-forward; post-norm."""

    width: int
    heads: int
    mlp: int
    dtype: Any = jnp.float32
    implementation: str = "xla"

    @nn.compact
    def __call__(
        self, x: jax.Array, place: jax.Array, memory: jax.Array, keys: jax.Array, seen: jax.Array, table: jax.Array
    ) -> jax.Array:
        """States and places x, place [B, T, D]; memory and its keys [B, S, D]; seen [B, 1, T, S], table [.., 1, T, T]."""
        sizes = (self.width, self.heads, self.dtype, self.implementation)
        y = MultiHeadAttention(*sizes, name="cross_attention")(x + place, keys, memory, seen)
        x = layer_norm(1e-6, self.dtype, name="cross_norm")(x + y)
        y = MultiHeadAttention(*sizes, name="attention")(x + place, x + place, x, table)
        x = layer_norm(1e-6, self.dtype, name="attention_norm")(x + y)
        y = Mlp(self.mlp, self.dtype, name="feed_forward")(x)
        return constrain(layer_norm(1e-6, self.dtype, name="feed_forward_norm")(x + y))


class DecomposedDecoder(nn.Module):
    """`depth` layers over the memory maps in turn, coarsest first. `queries` latent ones; with `selected` they begin as the
    likeliest of the memory's places, otherwise as learned vectors (X-Decoder). `remat` as in `Stack`."""

    width: int
    heads: int
    mlp: int
    depth: int = 9
    queries: int = 100
    selected: bool = False
    scale: float = 1.0
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    def setup(self) -> None:
        self.query_heads = QueryHeads(self.width, True, self.scale, self.dtype)

    def compare(self, states: jax.Array, names: jax.Array) -> jax.Array:
        """Likeness of normalised states [..., D] to class names [C, D]: logits [..., C]."""
        return self.query_heads.compare(states, names)

    @nn.compact
    def __call__(
        self,
        memory: Sequence[jax.Array],
        features: jax.Array,
        names: jax.Array,
        text: jax.Array | None = None,
        text_mask: jax.Array | None = None,
        caption: jax.Array | None = None,
    ) -> Decoded:
        """memory maps [B, H_i, W_i, D], mask features [B, h, w, D], class names [C, D] at unit length, the last for "nothing".

        Optional text states [B, L, D] with mask bool [B, L], and caption embeddings [B, M, D], positions included.
        """
        batch = features.shape[0]
        flat = [m.reshape(batch, -1, self.width) for m in memory]
        heads = self.query_heads
        states, boxes, proposals = self._latent(memory, flat, names)
        first = self.param("global", named(EMBEDDING, None, "embed"), (1, self.width))
        parts = {"latent": states, "global": jnp.broadcast_to(first, (batch, 1, self.width))}
        if text is not None:
            parts |= {"referring": states, "text": text}
        if caption is not None:
            parts["caption"] = caption
        parts = {name: parts[name].astype(self.dtype) for name in ORDER if name in parts}
        counts = {name: part.shape[1] for name, part in parts.items()}
        table = attention_table(counts)
        if text_mask is not None:
            table = table & _known(counts, text_mask)
        moving = counts["latent"] + counts.get("referring", 0)  # the queries that have masks and boxes come first
        x = jnp.concatenate(list(parts.values()), axis=1)
        boxes = boxes if moving == self.queries else jnp.concatenate([boxes, boxes], axis=1)

        level = self.param("level", named(EMBEDDING, None, "embed"), (len(memory), self.width))
        keys = [
            m + (sine_code(grid_points(*shaped.shape[1:3]), self.width) + level[i]).astype(self.dtype)
            for i, (m, shaped) in enumerate(zip(flat, memory, strict=True))
        ]
        locate = dense(self.width, (None, "embed"), self.dtype, "locate")
        layer = Layer if self.remat == "none" else nn.remat(Layer, policy=REMAT[self.remat], prevent_cse=False)
        outputs = [heads(x[:, :moving], boxes, names, features)]
        for i in range(self.depth):
            turn = i % len(memory)
            boxes = jax.lax.stop_gradient(outputs[-1]["box"])
            place = locate(sine_code(boxes, 2 * self.width))
            place = jnp.pad(place, ((0, 0), (0, x.shape[1] - moving), (0, 0)))
            seen = _seen(outputs[-1]["mask"], memory[turn].shape[1:3], x.shape[1])
            sizes = (self.width, self.heads, self.mlp, self.dtype, self.implementation)
            x = layer(*sizes, name=f"layer_{i}")(x, place, flat[turn], keys[turn], seen, table)
            outputs.append(heads(x[:, :moving], boxes, names, features))

        stacked = jax.tree.map(lambda *values: jnp.stack(values), *outputs)
        latent = {name: value[:, :, : self.queries] for name, value in stacked.items()}
        referring = {name: value[:, :, self.queries :] for name, value in stacked.items()} if text is not None else None
        x = heads.norm(x)
        said = {name: x[:, places(counts, name)] for name in counts}
        return Decoded(latent, referring, proposals, said, refined_global(said["global"], said["latent"]))

    def _latent(self, memory, flat, names):
        """First states [B, Q, D] and boxes [B, Q, 4] of the latent queries, and what was proposed."""
        batch = flat[0].shape[0]
        learned = self.param("latent", named(EMBEDDING, None, "embed"), (self.queries, self.width))
        if not self.selected:
            start = self.param("boxes", nn.initializers.uniform(1.0), (self.queries, 4))
            boxes = jnp.clip(start * jnp.array([1, 1, 0.5, 0.5]), 0.02, 0.98)
            return *(jnp.broadcast_to(x, (batch, *x.shape)) for x in (learned, boxes)), None
        tokens = dense(self.width, (None, "embed"), self.dtype, "propose")(jnp.concatenate(flat, axis=1))
        tokens = layer_norm(1e-6, self.dtype, name="propose_norm")(tokens)
        reference = jnp.concatenate([cell_boxes(*m.shape[1:3]) for m in memory])
        reference = jnp.broadcast_to(reference, (batch, *reference.shape))
        found = QueryHeads(self.width, False, self.scale, self.dtype, name="proposal_heads")(tokens, reference, names)
        something = -jax.nn.log_softmax(found["class"])[..., -1]
        _, best = jax.lax.top_k(jax.lax.stop_gradient(something), self.queries)
        boxes = jax.lax.stop_gradient(pick(found["box"], best))
        return pick(tokens, best) + learned.astype(self.dtype), boxes, jax.tree.map(lambda x: x[None], found)


def refined_global(image: jax.Array, latent: jax.Array) -> jax.Array:
    """Sum of latent states [B, Q, D] by the softmax of their cosine with the global one [B, 1, D]: [B, D] (X-Decoder)."""
    unit = lambda x: x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-12)  # noqa: E731
    image, latent = image.astype(jnp.float32), latent.astype(jnp.float32)
    weight = jax.nn.softmax(jnp.einsum("bd,bqd->bq", unit(image)[:, 0], unit(latent)))
    return jnp.einsum("bq,bqd->bd", weight, latent)


def cell_boxes(height: int, width: int) -> jax.Array:
    """A box (centre, 0..1) two cells wide around every cell of a map: [height * width, 4]."""
    points = grid_points(height, width)
    return jnp.concatenate([points, jnp.broadcast_to(jnp.array([2 / height, 2 / width]), points.shape)], axis=-1)


def _seen(logits: jax.Array, size: tuple[int, int], length: int) -> jax.Array:
    """Which memory places [B, 1, T, S] the T queries may look at: the first n those where their mask logits [B, n, h, w] are
    positive, or all if there are none; the others all."""
    logits = jax.lax.stop_gradient(logits)
    inside = jax.image.resize(logits, (*logits.shape[:2], *size), "linear") > 0
    inside = inside.reshape(*logits.shape[:2], -1)
    inside = inside | ~inside.any(-1, keepdims=True)
    return jnp.pad(inside, ((0, 0), (0, length - logits.shape[1]), (0, 0)), constant_values=True)[:, None]


def _known(counts: Mapping[str, int], text_mask: jax.Array) -> jax.Array:
    """Keys [B, 1, 1, T] that are not padding of the text [B, L]."""
    batch, total = text_mask.shape[0], sum(counts.values())
    known = jnp.ones((batch, total), bool).at[:, places(counts, "text")].set(text_mask)
    return known[:, None, None]
