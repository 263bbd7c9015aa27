"""A plain ViT with a simple feature pyramid (ViTDet, Li et al., 2022): maps of four scales from its last one."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.backbone import STRIDES, check_size
from unimedvlp.models.layers import KERNEL, gelu, layer_norm, named
from unimedvlp.models.vit import ViT
from unimedvlp.parallel.operations import Conv, ConvTranspose


class ViTPyramid(nn.Module):
    """A `Backbone`: four maps of `pyramid` channels, each made from the last map of a ViT alone.

    From a patch of 16: two transposed convolutions lead to stride 4, one to 8, none to 16, and a maximum over 2 x 2 to 32;
    then a 1 x 1 and a 3 x 3 convolution, each with LayerNorm. Other patches of 4 to 32 pixels are treated alike. The fields
    are those of `ViT`.
    """

    image_size: tuple[int, int]
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072
    pyramid: int = 256
    stem: str = "patch"
    dropout: float = 0.0
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    @nn.compact
    def __call__(self, image: jax.Array, *, deterministic: bool = True) -> list[jax.Array]:
        """As `Backbone`; raises UserError for a patch that is no stride and for sides that are not multiples of 32."""
        check_size(image)
        if self.patch not in STRIDES:
            raise UserError(f"patch {self.patch} does not suit a pyramid: use one of {STRIDES}")
        vit = ViT(
            self.image_size,
            self.patch,
            self.width,
            self.depth,
            self.heads,
            self.mlp,
            stem=self.stem,
            dropout=self.dropout,
            dtype=self.dtype,
            implementation=self.implementation,
            remat=self.remat,
            name="vit",
        )
        tokens = vit(image, deterministic=deterministic)[:, 1:]
        grid = (image.shape[1] // self.patch, image.shape[2] // self.patch)
        last = tokens.reshape(tokens.shape[0], *grid, self.width)
        return [self._level(last, stride) for stride in STRIDES]

    def _level(self, x: jax.Array, stride: int) -> jax.Array:
        scale = self.patch
        while scale > stride:
            scale //= 2
            x = self._conv(ConvTranspose, x.shape[-1] // 2, 2, f"up_{stride}_{scale}", strides=(2, 2))(x)
            x = gelu(self._norm(f"up_{stride}_{scale}_norm")(x)) if scale > stride else x
        while scale < stride:
            scale *= 2
            x = nn.max_pool(x, (2, 2), (2, 2))
        for name, size in (("mix", 1), ("out", 3)):
            x = self._norm(f"{name}_{stride}_norm")(self._conv(Conv, self.pyramid, size, f"{name}_{stride}")(x))
        return x

    def _conv(self, kind: type, features: int, size: int, name: str, **kwargs: Any) -> nn.Module:
        init = named(KERNEL, None, None, None, None)
        bias = kind is ConvTranspose  # the others have a LayerNorm behind them
        return kind(features, (size, size), use_bias=bias, dtype=self.dtype, kernel_init=init, name=name, **kwargs)

    def _norm(self, name: str) -> nn.LayerNorm:
        return layer_norm(1e-6, self.dtype, axis=None, name=name)
