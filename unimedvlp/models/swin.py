"""Swin transformer (Liu et al., 2021): attention within windows, shifted in every second block; maps at four scales."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.models.backbone import check_size
from unimedvlp.models.layers import EMBEDDING, Mlp, MultiHeadAttention, constrain, layer_norm, named
from unimedvlp.models.stack import REMAT, scan_layers
from unimedvlp.models.vit import PatchStem

EPS = 1e-5
PATCH = 4


class WindowAttention(nn.Module):
    """Self-attention within windows of `window` x `window` positions, with a learned bias per relative position and head.

    `shift` moves the windows by so many positions; where they wrap around the border, positions see their own side only. A
    map no larger than a window is one window, unshifted. Other maps are padded to whole windows with zeros, which are seen
    like any position, as in the published code.
    """

    width: int
    heads: int
    window: int
    shift: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, D] -> [B, H, W, D]."""
        height, width = x.shape[1:3]
        shortest = min(height, width)
        window, shift = (shortest, 0) if shortest <= self.window else (self.window, self.shift)
        x = jnp.pad(x, ((0, 0), (0, -height % window), (0, -width % window), (0, 0)))
        padded = x.shape
        x = jnp.roll(x, (-shift, -shift), (1, 2)) if shift else x
        windows = split_windows(x, window)
        mask = None
        if shift:
            mask = jnp.asarray(_same_region(padded[1], padded[2], window, shift))
            mask = jnp.tile(mask, (padded[0], 1, 1))[:, None]
        spans = (2 * self.window - 1) ** 2
        table = self.param("relative", named(EMBEDDING, None, "heads"), (spans, self.heads))
        bias = table[_relative_places(window, self.window)].transpose(2, 0, 1)[None].astype(self.dtype)
        attention = MultiHeadAttention(self.width, self.heads, self.dtype, name="heads")
        x = join_windows(attention(windows, windows, windows, mask, bias), padded, window)
        x = jnp.roll(x, (shift, shift), (1, 2)) if shift else x
        return x[:, :height, :width]


class SwinBlock(nn.Module):
    """Window attention and feed-forward, each on its normalised input and with a residual that `drop_path` may skip."""

    width: int
    heads: int
    window: int
    shift: int
    mlp: int
    drop_path: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """x [B, H, W, D] -> [B, H, W, D]."""
        drop = nn.Dropout(self.drop_path, broadcast_dims=(1, 2, 3), deterministic=deterministic)
        attention = WindowAttention(self.width, self.heads, self.window, self.shift, self.dtype, name="attention")
        x = x + drop(attention(layer_norm(EPS, self.dtype, name="attention_norm")(x)))
        y = Mlp(self.mlp, self.dtype, name="feed_forward")(layer_norm(EPS, self.dtype, name="feed_forward_norm")(x))
        return constrain(x + drop(y))


class SwinPair(nn.Module):
    """A block with plain windows, then one with shifted windows: what a stage repeats."""

    width: int
    heads: int
    window: int
    mlp: int
    drop_path: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """x [B, H, W, D] -> [B, H, W, D]."""
        for name, shift in (("plain", 0), ("shifted", self.window // 2)):
            block = SwinBlock(
                self.width, self.heads, self.window, shift, self.mlp, self.drop_path, self.dtype, name=name
            )
            x = block(x, deterministic=deterministic)
        return x


class Merge(nn.Module):
    """Four neighbours become one position of twice the width: [B, H, W, D] -> [B, ceil(H / 2), ceil(W / 2), 2 D]."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, D] -> [B, ceil(H / 2), ceil(W / 2), 2 D]."""
        x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        x = jnp.concatenate([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], axis=-1)
        x = layer_norm(EPS, self.dtype, axis=None, name="norm")(x)
        kernel = named(nn.initializers.xavier_uniform(), None, "embed")
        return nn.Dense(x.shape[-1] // 2, use_bias=False, dtype=self.dtype, kernel_init=kernel, name="reduce")(x)


class Swin(nn.Module):
    """A `Backbone`: maps of widths D, 2 D, 4 D and 8 D at strides 4, 8, 16 and 32, each behind a LayerNorm of its own.

    `width` is D, `depths` are blocks a stage (even), `heads` a stage, `window` positions, `mlp` the ratio of the hidden width.
    `drop_path` skips a residual of a sample with that probability. The defaults are Swin-T.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    mlp: float = 4.0
    drop_path: float = 0.0
    dtype: Any = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(self, image: jax.Array, *, deterministic: bool = True) -> list[jax.Array]:
        """As `Backbone`; raises UserError for odd depths and for an image whose sides are not multiples of 32."""
        check_size(image)
        if any(depth % 2 for depth in self.depths) or len(self.depths) != len(self.heads):
            raise UserError(f"depths {self.depths} and heads {self.heads}: give even depths and as many heads")
        x = PatchStem(PATCH, self.width, self.dtype, name="stem")(image.astype(self.dtype))
        x = layer_norm(EPS, self.dtype, name="stem_norm")(x)
        maps = []
        for stage, (depth, heads) in enumerate(zip(self.depths, self.heads, strict=True)):
            x = Merge(self.dtype, name=f"merge_{stage}")(x) if stage else x
            x = self._stage(stage, depth, heads, deterministic)(x)
            maps.append(layer_norm(EPS, self.dtype, name=f"norm_{stage}")(x))
        return maps

    def _stage(self, stage: int, depth: int, heads: int, deterministic: bool):
        width = self.width * 2**stage
        pair = SwinPair(
            width, heads, self.window, round(self.mlp * width), self.drop_path, self.dtype, name=f"stage_{stage}"
        )

        def body(pair, x):
            return pair(x, deterministic=deterministic), None

        if self.remat != "none":
            body = nn.remat(body, policy=REMAT[self.remat], prevent_cse=False)
        return lambda x: scan_layers(body, depth // 2)(pair, x)[0]


def split_windows(x: jax.Array, window: int) -> jax.Array:
    """Windows of x [B, H, W, D], row by row: [B * (H / window) * (W / window), window * window, D]."""
    b, h, w, d = x.shape
    tiles = x.reshape(b, h // window, window, w // window, window, d).swapaxes(2, 3)
    return tiles.reshape(-1, window * window, d)


def join_windows(windows: jax.Array, shape: tuple[int, ...], window: int) -> jax.Array:
    """The inverse of `split_windows`: a map of `shape` [B, H, W, D]."""
    b, h, w, d = shape
    tiles = windows.reshape(b, h // window, w // window, window, window, d).swapaxes(2, 3)
    return tiles.reshape(shape)


def _relative_places(window: int, largest: int) -> np.ndarray:
    """Rows of the bias table of windows of `largest` positions for every pair of positions of a window: [T, T]."""
    place = np.stack(np.meshgrid(np.arange(window), np.arange(window), indexing="ij"), -1).reshape(-1, 2)
    apart = place[:, None] - place[None] + largest - 1
    return apart[..., 0] * (2 * largest - 1) + apart[..., 1]


def _same_region(height: int, width: int, window: int, shift: int) -> np.ndarray:
    """Which positions of each window of a rolled map were neighbours before: bool [windows, T, T]."""
    row, column = (
        (np.arange(size) >= size - window).astype(int) + (np.arange(size) >= size - shift) for size in (height, width)
    )
    region = (3 * row[:, None] + column)[None, :, :, None]
    b, h, w, _ = region.shape
    tiles = region.reshape(b, h // window, window, w // window, window).swapaxes(2, 3).reshape(-1, window * window)
    return tiles[:, :, None] == tiles[:, None]
