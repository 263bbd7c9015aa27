"""Pixel decoder: the maps of a backbone -> memory maps for queries to look at, and one fine map for masks to be read from.

Form of X-Decoder's public code, which UniMed resembles (its own is not published): self-attention on the coarsest map, then a
feature pyramid from coarse to fine (Lin et al., 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.conv_pyramid import conv, group_norm
from unimedvlp.models.layers import dense
from unimedvlp.models.places import grid_points, sine_code
from unimedvlp.models.stack import Block, Stack
from unimedvlp.parallel.operations import whole


class PixelDecoder(nn.Module):
    """`depth` post-norm encoder layers on the coarsest map, then a 3x3 convolution, GroupNorm and ReLU at every stride.

    `width` is that of all outputs, a multiple of 16. The memory is all maps but the finest (X-Decoder), or, with `fine`, all but
    the coarsest: in small images, objects are smaller than a cell of the coarse maps.
    """

    width: int
    heads: int
    mlp: int
    depth: int = 6
    fine: bool = False
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array], *, deterministic: bool = True) -> tuple[list[jax.Array], jax.Array]:
        """maps [B, H_i, W_i, D_i], finest first, each side a multiple of the next one's.

        Returns memory maps [B, H_i, W_i, D], coarsest first, and mask features [B, H_0, W_0, D].
        """
        *finer, coarsest = maps
        x = self._smooth(self._encode(coarsest, deterministic), "coarsest")
        seen = [x]
        for i, lateral in reversed(list(enumerate(finer))):
            side = group_norm(self.dtype, name=f"lateral_norm_{i}")(
                conv(self.width, 1, self.dtype, name=f"lateral_{i}")(lateral)
            )
            x = self._smooth(side + upsample(x, lateral.shape[1:3]), f"smooth_{i}")
            seen.append(x)
        return seen[1:] if self.fine else seen[:-1], dense(self.width, (None, "embed"), self.dtype, "mask_features")(x)

    def _encode(self, x: jax.Array, deterministic: bool) -> jax.Array:
        x = dense(self.width, (None, "embed"), self.dtype, "project")(x)
        if not self.depth:
            return x
        b, h, w, d = x.shape
        tokens = x.reshape(b, h * w, d) + sine_code(grid_points(h, w), d).astype(x.dtype)
        block = Block(
            self.width,
            self.heads,
            self.mlp,
            pre_norm=False,
            dtype=self.dtype,
            implementation=self.implementation,
            parent=None,
        )
        stack = Stack(block, self.depth, self.remat, name="layers")
        return stack(tokens, deterministic=deterministic).reshape(b, h, w, d)

    def _smooth(self, x: jax.Array, name: str) -> jax.Array:
        x = conv(self.width, 3, self.dtype, name=name)(x)
        return nn.relu(group_norm(self.dtype, name=f"{name}_norm")(x))


def upsample(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Nearest neighbour: [B, h, w, D] -> [B, *size, D], where `size` is a multiple of (h, w)."""
    b, h, w, d = x.shape
    blocks = (b, h, size[0] // h, w, size[1] // w, d)
    return whole(jnp.broadcast_to(x[:, :, None, :, None], blocks).reshape(b, *size, d))
