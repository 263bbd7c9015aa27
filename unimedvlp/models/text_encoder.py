"""Bidirectional text encoder (Devlin et al., 2019)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.attention import padding_mask
from unimedvlp.models.layers import EMBEDDING, layer_norm, named, token_table
from unimedvlp.models.stack import stack_of


class TextEncoder(nn.Module):
    """BERT-like encoder over the token space; BERT itself is pre_norm=False, eps=1e-12.

    There are no token types: BERT's type 0 is a constant that belongs in `positions`. `max_length` is in tokens.
    Hand in `table` (from `token_table`) to share it with a decoder.
    """

    vocab: int
    width: int
    depth: int
    heads: int
    mlp: int
    max_length: int
    table: nn.Embed | None = None
    pre_norm: bool = False
    dropout: float = 0.0
    eps: float = 1e-12
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"
    unroll: int = 1

    def setup(self) -> None:
        self.tokens = token_table(self.vocab, self.width, self.dtype) if self.table is None else self.table
        shape = (self.max_length, self.width)
        self.positions = self.param("positions", named(EMBEDDING, "position", "embed"), shape)
        self.embedding_norm = layer_norm(self.eps, self.dtype)
        self.drop = nn.Dropout(self.dropout)
        self.layers = stack_of(self, pre_norm=self.pre_norm)

    def __call__(self, ids: jax.Array, mask: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """ids int32 [B, L], mask bool [B, L] (True on tokens) -> [B, L, D]; raises UserError if L > max_length."""
        return self.encode(self.embed(ids), mask, deterministic=deterministic)

    def embed(self, ids: jax.Array) -> jax.Array:
        """The first half of a call: ids int32 [B, L] -> token embeddings with their positions [B, L, D]."""
        length = ids.shape[1]
        if length > self.max_length:
            raise UserError(f"text of {length} tokens, the encoder was made for {self.max_length}: raise max_length")
        return self.tokens(ids) + self.positions[:length].astype(self.dtype)

    def encode(self, x: jax.Array, mask: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """The second half: embeddings [B, L, D], also such as are no tokens; mask bool [B, L] -> [B, L, D]."""
        x = self.drop(self.embedding_norm(x.astype(self.dtype)), deterministic=deterministic)
        return self.layers(x, padding_mask(mask), deterministic=deterministic)
