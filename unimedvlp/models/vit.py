"""Vision transformer (Dosovitskiy et al., 2021), with a convolutional stem for small data (Xiao et al., 2021)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.layers import EMBEDDING, KERNEL, dense, gelu, layer_norm, named
from unimedvlp.models.stack import stack_of
from unimedvlp.parallel.operations import Conv


class PatchStem(nn.Module):
    """One linear layer per patch: [B, H, W, C] -> [B, H / patch, W / patch, width]."""

    patch: int
    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """image float [B, H, W, C] -> [B, h, w, width]; equal to a convolution of stride `patch`."""
        b, height, width, c = image.shape
        h, w, p = height // self.patch, width // self.patch, self.patch
        patches = image.reshape(b, h, p, w, p, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h, w, p * p * c)
        return dense(self.width, ("patch", "embed"), self.dtype, "project")(patches)


class ConvStem(nn.Module):
    """3x3 convolutions of stride 2, each with LayerNorm and GELU, down to one position per patch, then a 1x1 layer."""

    patch: int
    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """image float [B, H, W, C] -> [B, h, w, width]; raises UserError unless `patch` is a power of two."""
        steps = self.patch.bit_length() - 1
        if self.patch != 2**steps:
            raise UserError(f"patch {self.patch} does not suit stem 'conv': use a power of two")
        x = image
        for step in reversed(range(steps)):
            x = Conv(
                max(self.width >> step, 8),
                (3, 3),
                strides=2,
                padding=1,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=named(KERNEL, None, None, None, None),
            )(x)
            x = gelu(layer_norm(1e-6, self.dtype, axis=None)(x))
        return dense(self.width, (None, "embed"), self.dtype, "project")(x)


class ResidualStem(nn.Module):
    """A small residual network (He et al., 2016) with group normalisation, down to one position per patch, then a 1x1 layer.

    What to use where a few thousand images are all there is: it learns from these what a transformer does not.
    """

    patch: int
    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """image float [B, H, W, C] -> [B, h, w, width]; raises UserError unless `patch` is a power of two."""
        steps = self.patch.bit_length() - 1
        if self.patch != 2**steps:
            raise UserError(f"patch {self.patch} does not suit stem 'residual': use a power of two")
        widths = [max(8 * round(self.width / 2 ** (steps - 1 - step) / 8), 32) for step in range(steps)]
        x = nn.relu(self._norm(self._conv(widths[0], 5, 2)(image)))
        for width in widths[1:]:
            y = nn.relu(self._norm(self._conv(width, 3, 2)(x)))
            y = self._norm(self._conv(width, 3, 1)(y))
            x = nn.relu(self._conv(width, 1, 2)(x) + y)
        return dense(self.width, (None, "embed"), self.dtype, "project")(x)

    def _conv(self, width: int, size: int, stride: int) -> Conv:
        init = named(nn.initializers.he_normal(), None, None, None, None)
        return Conv(width, (size, size), stride, use_bias=False, dtype=self.dtype, kernel_init=init)

    def _norm(self, x: jax.Array) -> jax.Array:
        return nn.GroupNorm(num_groups=8, dtype=self.dtype)(x)


STEMS = {"patch": PatchStem, "conv": ConvStem, "residual": ResidualStem}


class ViT(nn.Module):
    """Pre-norm ViT: an image -> one class token and a token per patch.

    `image_size` (pixels) is the size that the learned positions are stored for; images of another size get them
    interpolated. `mlp` is the hidden width of the feed-forward layers.
    """

    image_size: tuple[int, int]
    patch: int
    width: int
    depth: int
    heads: int
    mlp: int
    stem: str = "patch"
    dropout: float = 0.0
    eps: float = 1e-6
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"
    unroll: int = 1

    def setup(self) -> None:
        if self.stem not in STEMS:
            raise UserError(f"stem {self.stem!r} is unknown: use one of {tuple(STEMS)}")
        self.patches = STEMS[self.stem](self.patch, self.width, self.dtype, name="stem")
        stored = (self.image_size[0] // self.patch, self.image_size[1] // self.patch)
        init = named(lambda _, shape: sincos_positions(stored, shape[1]), "position", "embed")
        self.positions = self.param("positions", init, (stored[0] * stored[1], self.width))
        self.class_token = self.param("class_token", named(EMBEDDING, None, "embed"), (1, self.width))
        self.drop = nn.Dropout(self.dropout)
        self.layers = stack_of(self)

    def __call__(self, image: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """image float [B, H, W, C], already normalised -> tokens [B, 1 + N, D], the class token first.

        Raises UserError for an unknown stem and for an image whose sides are not multiples of the patch.
        """
        grid = (image.shape[1] // self.patch, image.shape[2] // self.patch)
        return self.encode(self.embed(image) + self.places(grid), deterministic=deterministic)

    def embed(self, image: jax.Array) -> jax.Array:
        """The first half of a call: image float [B, H, W, C] -> patches, without their positions yet, [B, N, D]."""
        if image.shape[1] % self.patch or image.shape[2] % self.patch:
            raise UserError(f"image of {image.shape[1:3]} pixels is not a multiple of patch {self.patch}: resize it")
        return self.patches(image.astype(self.dtype)).reshape(len(image), -1, self.width)

    def places(self, grid: tuple[int, int]) -> jax.Array:
        """The positions [N, D] of a grid of patches, row by row."""
        stored = (self.image_size[0] // self.patch, self.image_size[1] // self.patch)
        positions = resize_positions(self.positions.reshape(*stored, self.width), grid)
        return positions.astype(self.dtype).reshape(-1, self.width)

    def encode(self, x: jax.Array, *, deterministic: bool = True) -> jax.Array:
        """The second half: any tokens [B, N, D], such as visible patches or prompts -> [B, 1 + N, D], the class token first."""
        cls = jnp.broadcast_to(self.class_token.astype(self.dtype), (x.shape[0], 1, self.width))
        x = self.drop(jnp.concatenate([cls, x.astype(self.dtype)], axis=1), deterministic=deterministic)
        return self.layers(x, deterministic=deterministic)


def sincos_positions(grid: tuple[int, int], width: int) -> jax.Array:
    """Sines and cosines of row and column, [h * w, D], float32; D a multiple of 4.

    With these a small ViT knows from the first step where a patch lies (Beyer et al., 2022), which random ones of small
    scale do not tell it.
    """
    if width % 4:
        raise UserError(f"width {width} is not a multiple of 4: change it")
    rows, columns = jnp.meshgrid(*(jnp.arange(size, dtype=jnp.float32) for size in grid), indexing="ij")
    frequencies = 10_000 ** -(jnp.arange(width // 4) / max(width // 4 - 1, 1))
    angles = [place.reshape(-1, 1) * frequencies for place in (rows, columns)]
    return jnp.concatenate([wave(angle) for angle in angles for wave in (jnp.sin, jnp.cos)], axis=1)


def resize_positions(positions: jax.Array, grid: tuple[int, int]) -> jax.Array:
    """Positions [h, w, D] bilinearly interpolated to another grid (rows, columns)."""
    if positions.shape[:2] == grid:
        return positions
    return jax.image.resize(positions, (*grid, positions.shape[2]), "bilinear")
