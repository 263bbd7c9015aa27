"""A small residual network with one map a stride: the backbone for little data and small images, where Swin learns slowly."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.backbone import check_size
from unimedvlp.models.layers import named
from unimedvlp.parallel.operations import Conv

HE = nn.initializers.he_normal()


def conv(features: int, size: int, dtype: Any, stride: int = 1, name: str | None = None) -> Conv:
    """A convolution `size` x `size` without bias, SAME padding; its outputs carry the axis "embed"."""
    kernel = named(HE, None, None, None, "embed")
    return Conv(features, (size, size), stride, use_bias=False, dtype=dtype, kernel_init=kernel, name=name)


def group_norm(dtype: Any, group: int = 16, name: str | None = None) -> nn.GroupNorm:
    """GroupNorm (Wu and He, 2018) over groups of `group` channels, statistics in float32."""
    scale, bias = named(nn.initializers.ones, "embed"), named(nn.initializers.zeros, "embed")
    return nn.GroupNorm(None, group, dtype=dtype, scale_init=scale, bias_init=bias, name=name)


class Residual(nn.Module):
    """Two 3x3 convolutions with GroupNorm beside a shortcut (He et al., 2016): [B, H, W, C] -> [B, H / s, W / s, D]."""

    width: int
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, C] -> [B, H / stride, W / stride, width]."""
        y = nn.relu(group_norm(self.dtype)(conv(self.width, 3, self.dtype, self.stride)(x)))
        y = group_norm(self.dtype)(conv(self.width, 3, self.dtype)(y))
        if x.shape != y.shape:
            x = group_norm(self.dtype)(conv(self.width, 1, self.dtype, self.stride)(x))
        return nn.relu(x + y)


class ConvPyramid(nn.Module):
    """A `Backbone` after ResNet: `widths` and `depths` (residual blocks) of its four stages; widths are multiples of 16, the
    first of 32."""

    widths: tuple[int, ...] = (64, 96, 160, 192)
    depths: tuple[int, ...] = (1, 1, 1, 1)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, deterministic: bool = True) -> list[jax.Array]:
        """As `Backbone`."""
        check_size(image)
        x = conv(self.widths[0] // 2, 3, self.dtype, 2, "stem")(image.astype(self.dtype))
        x = nn.relu(group_norm(self.dtype, name="stem_norm")(x))
        maps = []
        for width, depth in zip(self.widths, self.depths, strict=True):
            for i in range(depth):
                x = Residual(width, 2 if i == 0 else 1, self.dtype)(x)
            maps.append(x)
        return maps
