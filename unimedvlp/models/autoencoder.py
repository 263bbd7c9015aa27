"""A small convolutional autoencoder whose bottleneck is finite scalar quantisation: pictures as codes, and back."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models import fsq
from unimedvlp.models.layers import KERNEL, dense, layer_norm, named
from unimedvlp.models.vit import PatchStem
from unimedvlp.parallel.operations import Conv

PATCH = 4  # pixels that the first layer takes at once
_FINE = 16  # channels of a pixel before the last layer


class ResidualConv(nn.Module):
    """x + a 3x3 and a 1x1 convolution of the normalised x: [B, h, w, D] -> the same."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, h, w, D] -> [B, h, w, D]."""
        y = layer_norm(1e-6, self.dtype, axis=None)(x)
        y = nn.gelu(_conv(x.shape[-1], 3, self.dtype)(y))
        return x + _conv(x.shape[-1], 1, self.dtype)(y)


class Autoencoder(nn.Module):
    """One code for every `stride` x `stride` pixels; `stride` is a power of two from 4 on.

    `levels` as in `fsq`; `channels` are those of a picture; `width` is that of the finest maps, doubled by every halving;
    `blocks` is the number of residual blocks at each scale, on both ways.
    """

    levels: tuple[int, ...]
    channels: int = 1
    stride: int = 8
    width: int = 48
    blocks: int = 2
    dtype: Any = jnp.float32

    def setup(self) -> None:
        halvings = (self.stride // PATCH).bit_length() - 1
        if self.stride != PATCH << max(halvings, 0):
            raise UserError(f"stride {self.stride} does not suit an autoencoder: use a power of two from {PATCH} on")
        widths = [self.width << i for i in range(halvings + 1)]
        self.stem = PatchStem(PATCH, self.width, self.dtype)
        self.down = [_conv(width, 3, self.dtype, strides=2) for width in widths[1:]]
        self.look = [[ResidualConv(self.dtype) for _ in range(self.blocks)] for _ in widths]
        self.norm = layer_norm(1e-6, jnp.float32, axis=None)  # so that all levels are in use from the first step
        unit = named(nn.initializers.variance_scaling(1.0, "fan_in", "normal"), None, None)
        self.narrow = nn.Dense(len(self.levels), kernel_init=unit)
        self.widen = dense(widths[-1], (None, None), self.dtype)
        self.paint = [[ResidualConv(self.dtype) for _ in range(self.blocks)] for _ in widths]
        self.up = [_conv(4 * width, 1, self.dtype) for width in widths[:-1]]
        self.fine = _conv(PATCH * PATCH * _FINE, 1, self.dtype)
        self.out = _conv(self.channels, 3, jnp.float32)

    def __call__(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """pixels float [B, H, W, C] -> (their reconstruction float32 [B, H, W, C], points of the grid [B, h, w, d])."""
        points = self.encode(pixels)
        return self.decode(points), points

    def encode(self, pixels: jax.Array) -> jax.Array:
        """pixels float [B, H, W, C], sides multiples of `stride` -> points of the grid [B, H / stride, W / stride, d]."""
        if pixels.shape[1] % self.stride or pixels.shape[2] % self.stride:
            raise UserError(
                f"a picture of {pixels.shape[1:3]} pixels is not a multiple of stride {self.stride}: resize it"
            )
        x = self.stem(pixels.astype(self.dtype))
        for scale, blocks in enumerate(self.look):
            x = self.down[scale - 1](x) if scale else x
            for block in blocks:
                x = block(x)
        return fsq.quantize(self.narrow(self.norm(x.astype(jnp.float32))), self.levels)

    def decode(self, points: jax.Array) -> jax.Array:
        """Points of the grid [B, h, w, d] -> a picture float32 [B, H, W, C], of unbounded values."""
        x = self.widen(points.astype(self.dtype))
        for scale, blocks in reversed(list(enumerate(self.paint))):
            for block in blocks:
                x = block(x)
            x = unfold(self.up[scale - 1](x), 2) if scale else x
        return self.out(nn.gelu(unfold(self.fine(x), PATCH)).astype(jnp.float32))


def unfold(x: jax.Array, times: int) -> jax.Array:
    """Channels to pixels: [B, h, w, times * times * D] -> [B, times * h, times * w, D]."""
    b, h, w, d = x.shape
    tiles = x.reshape(b, h, w, times, times, d // times**2).swapaxes(2, 3)
    return tiles.reshape(b, h * times, w * times, d // times**2)


def _conv(features: int, size: int, dtype: Any, strides: int = 1) -> Conv:
    kernel = named(KERNEL, None, None, None, None)
    return Conv(features, (size, size), strides, dtype=dtype, kernel_init=kernel)
