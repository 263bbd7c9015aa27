"""One prompted encoder: pairs, images alone and texts alone are three shapes of one function.

A missing modality is completed by prompts that pass its own encoder, as in PTUnifier (Chen et al., 2023), so that the fusion
always sees two streams. UniDCP's abstract asks for one framework over such diverse inputs; the layout is our reconstruction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.co_attention import CoAttention
from unimedvlp.models.layers import EMBEDDING, dense, named
from unimedvlp.models.multiview import MultiView
from unimedvlp.models.prompt_pool import PromptPool
from unimedvlp.models.standardise import Standardise
from unimedvlp.models.text_encoder import TextEncoder
from unimedvlp.parallel.operations import pick


class Half(NamedTuple):
    """One modality behind its own encoder: tokens `[B, N, D]`, mask bool `[B, N]`; and what asks the pool, if it is no
    stand-in itself: its embeddings `[B, M, D]` before the encoder, without class token, and their mask `[B, M]`."""

    tokens: jax.Array
    mask: jax.Array
    embeddings: jax.Array | None = None
    embedding_mask: jax.Array | None = None
    scores: jax.Array | None = None  # of the pool's slots, of a stand-in
    statistics: dict[str, jax.Array] | None = None  # new running ones, of images


class Encoded(NamedTuple):
    """Both streams behind the fusion; `pooled` `[B, 2D]` is text, then image; `middle` is the image stream at half depth;
    `statistics` are new running ones, of `rows`."""

    image: jax.Array
    image_mask: jax.Array
    text: jax.Array
    text_mask: jax.Array
    pooled: jax.Array
    middle: jax.Array
    statistics: dict[str, jax.Array] | None = None


class PromptedEncoder(nn.Module):
    """`image` and `text` are encoders of one width, `pool` completes, `fusion` joins; `begin` and `end` are token ids.

    `standardise` takes away what the patches of all images share, before the pool is asked and the encoder reads them.
    """

    image: MultiView
    text: TextEncoder
    pool: PromptPool
    fusion: CoAttention
    standardise: Standardise
    begin: int
    end: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        width = self.text.width
        self.kind = self.param("kind", named(EMBEDDING, None, "embed"), (2, width))
        self.image_project, self.text_project, self.image_pooler, self.text_pooler = (
            dense(width, ("embed", None), self.dtype) for _ in range(4)
        )

    def __call__(
        self,
        image: tuple[jax.Array, jax.Array] | None = None,
        text: tuple[jax.Array, jax.Array] | None = None,
        *,
        deterministic: bool = True,
    ) -> Encoded:
        """The three shapes: image = (uint8 `[B, V, H, W, C]`, view mask bool `[B, V]`), text = (ids int32 `[B, L]`, mask bool
        `[B, L]`), or one of them. A pair uses no prompt."""
        seen = self.see(*image, deterministic=deterministic) if image else None
        said = self.read(*text, deterministic=deterministic) if text else None
        seen = seen or self.stand_in("image", said, deterministic=deterministic)
        said = said or self.stand_in("text", seen, deterministic=deterministic)
        return self.fuse(seen, said, deterministic=deterministic)

    def rows(
        self, image: tuple[jax.Array, jax.Array], text: tuple[jax.Array, jax.Array], *, deterministic: bool = True
    ) -> Encoded:
        """A batch whose rows are pairs, images or texts: each row is completed where it has no view or no token."""
        seen = self.see(*image, deterministic=deterministic)
        said = self.read(*text, deterministic=deterministic)
        for_image = self.stand_in("image", said, deterministic=deterministic)
        for_text = self.stand_in("text", seen, deterministic=deterministic)
        encoded = self.fuse(_completed(seen, for_image), _completed(said, for_text), deterministic=deterministic)
        return encoded._replace(statistics=seen.statistics)

    def see(
        self, image: jax.Array, view_mask: jax.Array, keep: jax.Array | None = None, *, deterministic: bool = True
    ) -> Half:
        """Images through their encoder; of each view only the patches `keep` int32 `[B * V, n]`, if given: the others are
        covered then, so that the running statistics serve."""
        encoder, (b, v) = self.image.encoder, view_mask.shape
        pixels = self.image.pixels(image)
        grid = (pixels.shape[1] // encoder.patch, pixels.shape[2] // encoder.patch)
        x = encoder.embed(pixels).reshape(b, v * grid[0] * grid[1], -1)
        mask = jnp.repeat(view_mask, grid[0] * grid[1], axis=1)
        x, statistics = self.standardise(x, mask, deterministic=deterministic or keep is not None)
        asking = x.reshape(b * v, grid[0] * grid[1], -1)
        patches = asking + encoder.places(grid)  # all images share these: the encoder needs them, the pool does not
        if keep is not None:
            asking, patches = pick(asking, keep), pick(patches, keep)
        tokens, mask = self.image.place(encoder.encode(patches, deterministic=deterministic), view_mask)
        embeddings = asking.reshape(b, -1, asking.shape[-1])
        asks = jnp.repeat(view_mask, asking.shape[1], axis=1)
        return Half(tokens, mask, embeddings, asks, statistics=statistics)

    def read(self, ids: jax.Array, mask: jax.Array, *, deterministic: bool = True) -> Half:
        """Texts through their encoder, behind a `begin` token; an empty text has no token at all."""
        begin = jnp.full((len(ids), 1), self.begin, ids.dtype)
        embeddings = self.text.embed(jnp.concatenate([begin, ids], axis=1))
        whole = jnp.concatenate([mask.any(axis=1, keepdims=True), mask], axis=1)
        tokens = self.text.encode(embeddings, whole, deterministic=deterministic)
        return Half(tokens, whole, embeddings[:, 1:], mask)

    def stand_in(self, missing: str, present: Half, *, deterministic: bool = True) -> Half:
        """Prompts for the `missing` modality ("image" or "text") through its encoder: [class, prompts] or [begin, prompts, end]."""
        prompts, scores = self.pool(missing, present.embeddings, present.embedding_mask)
        if missing == "image":
            tokens = self.image.encoder.encode(prompts, deterministic=deterministic)
        else:
            ends = self.text.embed(jnp.tile(jnp.array([[self.begin, self.end]]), (len(prompts), 1)))
            x = jnp.concatenate([ends[:, :1], prompts, ends[:, 1:]], axis=1)
            tokens = self.text.encode(x, jnp.ones(x.shape[:2], bool), deterministic=deterministic)
        return Half(tokens, jnp.ones(tokens.shape[:2], bool), scores=scores)

    def fuse(self, seen: Half, said: Half, *, deterministic: bool = True) -> Encoded:
        """Both halves through the fusion, and past it."""
        kind = self.kind.astype(self.dtype)
        image, text, middle = self.fusion(
            self.image_project(seen.tokens) + kind[0],
            seen.mask,
            self.text_project(said.tokens) + kind[1],
            said.mask,
            deterministic=deterministic,
        )
        # Past the fusion: words and patches stay apart, whatever it makes of them.
        image, text = image + seen.tokens, text + said.tokens
        pooled = [self.text_pooler(_mean(text, said.mask)), self.image_pooler(_mean(image, seen.mask))]
        return Encoded(image, seen.mask, text, said.mask, jnp.tanh(jnp.concatenate(pooled, axis=-1)), middle)


def _completed(half: Half, other: Half) -> Half:
    """Tokens of a half, then the stand-in's, which exist in the rows where the half has none."""
    lacks = ~half.mask.any(axis=1, keepdims=True)
    tokens = jnp.concatenate([half.tokens, other.tokens], axis=1)
    return Half(tokens, jnp.concatenate([half.mask, other.mask & lacks], axis=1))


def _mean(tokens: jax.Array, mask: jax.Array) -> jax.Array:
    """The mean token `[B, D]` of each row, of those that exist: a small model learns from it sooner than from its first one."""
    weight = mask[..., None].astype(tokens.dtype)
    return (tokens * weight).sum(1) / jnp.maximum(weight.sum(1), 1)


def drawn(half: Half, index: jax.Array) -> Half:
    """Examples of a half by their places int32 `[G, B / G]` within G blocks of the batch."""

    def take(x: jax.Array) -> jax.Array:
        blocks = x.reshape(*index.shape, *x.shape[1:])
        return jax.vmap(lambda block, places: block[places])(blocks, index).reshape(x.shape)

    return Half(take(half.tokens), take(half.mask))


def stacked(*halves: Half) -> Half:
    """Halves behind each other in the batch."""
    return Half(*(jnp.concatenate(parts) for parts in zip(*(half[:2] for half in halves), strict=True)))
