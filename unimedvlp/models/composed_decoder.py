"""The autoregressive decoder over the composed token space, cross-attending to a memory."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.attention import causal_mask, padding_mask, segment_mask
from unimedvlp.models.cache import Cache
from unimedvlp.models.layers import EMBEDDING, named, token_table
from unimedvlp.models.splash import Causal
from unimedvlp.models.stack import stack_of
from unimedvlp.parallel.operations import whole


class ComposedDecoder(nn.Module):
    """Causal pre-norm transformer with cross-attention; input and output share one token table.

    The position of a token is the number of tokens before it that it may see, so pads on either side and between prompt
    and response move nothing. `max_length` is in tokens. Hand in `table` to share it with a text encoder.
    """

    vocab: int
    width: int
    depth: int
    heads: int
    mlp: int
    max_length: int
    table: nn.Embed | None = None
    dropout: float = 0.0
    eps: float = 1e-6
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"
    unroll: int = 1

    def setup(self) -> None:
        self.tokens = token_table(self.vocab, self.width, self.dtype) if self.table is None else self.table
        shape = (self.max_length, self.width)
        self.positions = self.param("positions", named(EMBEDDING, "position", "embed"), shape)
        self.layers = stack_of(self, cross=True)
        self.drop = nn.Dropout(self.dropout)

    def __call__(
        self,
        ids: jax.Array,
        mask: jax.Array,
        memory: jax.Array,
        memory_mask: jax.Array,
        *,
        segment_ids: jax.Array | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """Teacher forcing: as `hidden`, projected to float32 logits [B, T, vocab]."""
        x = self.hidden(ids, mask, memory, memory_mask, segment_ids=segment_ids, deterministic=deterministic)
        return self.logits(x)

    def hidden(
        self,
        ids: jax.Array,
        mask: jax.Array,
        memory: jax.Array,
        memory_mask: jax.Array,
        *,
        segment_ids: jax.Array | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """ids int32 [B, T], mask bool [B, T], memory [B, N, D], memory_mask bool [B, N] -> states [B, T, D].

        With segment_ids int32 [B, T] a token sees its own segment only, and positions start anew in each; all segments
        of a row share the row's memory.
        """
        sees = causal_mask(ids.shape[1]) & padding_mask(mask)
        if segment_ids is not None:
            sees = sees & segment_mask(segment_ids)
        x = self.drop(self._embed(ids, sees[:, 0]), deterministic=deterministic)
        if self.implementation == "splash":
            sees = Causal(jnp.where(mask, 1 if segment_ids is None else segment_ids, 0))
        return self.layers(x, sees, memory, padding_mask(memory_mask), deterministic=deterministic)

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Scores of the next token, float32: [B, T, D] -> [B, T, vocab]; give it only the positions that are needed."""
        table = self.tokens.embedding.astype(self.dtype)
        logits = jnp.einsum("btd,vd->btv", hidden, table, preferred_element_type=jnp.float32)
        return nn.with_logical_constraint(logits, ("batch", "sequence", "vocab"))

    def start(self, memory: jax.Array, memory_mask: jax.Array, length: int) -> Cache:
        """An empty cache with room for `length` tokens; memory [B, N, D], memory_mask bool [B, N]."""
        return self.layers.start(memory, memory_mask, self._checked(length))

    def extend(self, ids: jax.Array, mask: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Append ids int32 [B, T] (mask bool [B, T]) -> (float32 logits [B, T, vocab], cache). T may be 1 or a prompt.

        The caller sees to it that the cache has room for T more.
        """
        x, cache = self.extend_hidden(ids, mask, cache)
        return self.logits(x), cache

    def extend_hidden(self, ids: jax.Array, mask: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """`extend` without its last step: states [B, T, D] instead of logits."""
        cache, sees = cache.admit(mask)
        return self.layers.extend(self._embed(ids, sees), sees[:, None], cache)

    def _embed(self, ids: jax.Array, sees: jax.Array) -> jax.Array:
        """ids [B, T], each of which sees [..., S], in the same order -> [B, T, D]."""
        self._checked(ids.shape[1])
        place = jnp.maximum(sees.sum(-1, dtype=jnp.int32) - 1, 0).reshape(ids.shape)
        return self.tokens(ids) + whole(self.positions[place].astype(self.dtype))

    def _checked(self, length: int) -> int:
        if length > self.max_length:
            raise UserError(f"{length} tokens, the decoder was made for {self.max_length}: raise max_length")
        return length
