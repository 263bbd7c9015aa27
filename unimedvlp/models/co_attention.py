"""Co-attention (Lu et al., 2019; METER, Dou et al., 2022): two streams, each of which looks at itself and at the other."""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.attention import padding_mask
from unimedvlp.models.layers import layer_norm
from unimedvlp.models.stack import Block, Stack


class CoBlock(nn.Module):
    """One layer: both streams read the other one as the layer before left it. Every part reads normalised streams (pre-norm)."""

    pre_norm: ClassVar[bool] = False  # for `Stack`, which ends one stream in a norm: the two end in `CoAttention`'s

    width: int
    heads: int
    mlp: int
    dropout: float = 0.0
    eps: float = 1e-6
    dtype: Any = jnp.float32
    implementation: str = "xla"

    def setup(self) -> None:
        def block() -> Block:
            options = (self.dropout, self.eps, self.dtype, self.implementation)
            return Block(self.width, self.heads, self.mlp, True, True, *options)

        self.image, self.text = block(), block()
        self.image_norm, self.text_norm = (layer_norm(self.eps, self.dtype) for _ in range(2))

    def __call__(
        self,
        streams: tuple[jax.Array, jax.Array],
        masks: tuple[jax.Array, jax.Array],
        memory: None = None,
        memory_mask: None = None,
        *,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array]:
        """Streams `[B, N, D]` and `[B, L, D]` with their padding masks -> the same; `memory` is only there for `Stack`."""
        (image, text), (image_mask, text_mask) = streams, masks
        seen, said = self.image_norm(image), self.text_norm(text)
        return (
            self.image(image, image_mask, said, text_mask, deterministic=deterministic),
            self.text(text, text_mask, seen, image_mask, deterministic=deterministic),
        )


class CoAttention(nn.Module):
    """`depth` layers of co-attention, at least 2; six in PTUnifier and M3AE, which normalise after each part, as in BERT, and
    begin from trained weights. From scratch that makes all tokens of a stream alike; a residual stream keeps them apart.

    The image stream after the lower half is given as well: masked patches are restored from there (M3AE, layer 3 of 6).
    """

    width: int
    heads: int
    mlp: int
    depth: int = 6
    dropout: float = 0.0
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    def setup(self) -> None:
        def half(depth: int) -> Stack:
            options = {"dropout": self.dropout, "dtype": self.dtype, "implementation": self.implementation}
            return Stack(CoBlock(self.width, self.heads, self.mlp, parent=None, **options), depth, self.remat)

        self.lower, self.upper = half(self.depth // 2), half(self.depth - self.depth // 2)
        self.image_norm, self.text_norm, self.middle_norm = (layer_norm(1e-6, self.dtype) for _ in range(3))

    def __call__(
        self,
        image: jax.Array,
        image_mask: jax.Array,
        text: jax.Array,
        text_mask: jax.Array,
        *,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """image `[B, N, D]` and text `[B, L, D]` with masks bool `[B, N]`, `[B, L]` -> image, text, and image at half depth."""
        masks = (padding_mask(image_mask), padding_mask(text_mask))
        lower = self.lower((image, text), masks, deterministic=deterministic)
        image, text = self.upper(lower, masks, deterministic=deterministic)
        return self.image_norm(image), self.text_norm(text), self.middle_norm(lower[0])
