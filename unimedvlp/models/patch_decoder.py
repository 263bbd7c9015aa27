"""The decoder of masked autoencoding (MAE, He et al., 2022): visible tokens and mask tokens in, pixels of every patch out."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.layers import EMBEDDING, dense, last_layer, named
from unimedvlp.models.stack import Block, Stack
from unimedvlp.models.vit import sincos_positions
from unimedvlp.parallel.operations import pick


class PatchDecoder(nn.Module):
    """`grid` is the number of patches down and across, `pixels` the values of a patch; its predictions begin near 0."""

    grid: tuple[int, int]
    pixels: int
    width: int
    depth: int
    heads: int
    dtype: Any = jnp.float32
    implementation: str = "xla"

    @nn.compact
    def __call__(self, visible: jax.Array, restore: jax.Array) -> jax.Array:
        """visible `[B, n, D]` and `restore` `[B, N]` of `random_patches` -> float32 pixels `[B, N, pixels]`."""
        x = dense(self.width, ("embed", None), self.dtype, "project")(visible)
        mask = self.param("mask_token", named(EMBEDDING, None), (self.width,)).astype(x.dtype)
        hidden = restore.shape[1] - x.shape[1]
        x = jnp.concatenate([x, jnp.broadcast_to(mask, (x.shape[0], hidden, self.width))], axis=1)
        x = pick(x, restore)
        x = x + sincos_positions(self.grid, self.width).astype(x.dtype)
        options = {"dtype": self.dtype, "implementation": self.implementation, "parent": None}
        x = Stack(Block(self.width, self.heads, 4 * self.width, **options), self.depth, name="layers")(x)
        return last_layer(self.pixels, "values")(x.astype(jnp.float32))
