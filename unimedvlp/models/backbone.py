"""The contract of image backbones: one image in, feature maps of several scales out.

    backbone(image) -> [map at stride 4, at 8, at 16, at 32]

A pixel decoder takes these maps and asks nothing else of a backbone, so `Swin`, `ViTPyramid` and `ConvPyramid` stand for each
other. To hide parts of an image from it (masked image modelling), set their normalised pixels to 0.
"""

from __future__ import annotations

from typing import Protocol

import jax

from unimedvlp.errors import UserError

STRIDES = (4, 8, 16, 32)


class Backbone(Protocol):
    """A Linen module with this `__call__`."""

    def __call__(self, image: jax.Array, *, deterministic: bool = True) -> list[jax.Array]:
        """image float [B, H, W, C], normalised, sides multiples of 32 -> maps [B, H / s, W / s, D_s], s in `STRIDES`."""


def check_size(image: jax.Array) -> None:
    """UserError unless the sides of image [B, H, W, C] are multiples of the largest stride."""
    if image.shape[1] % STRIDES[-1] or image.shape[2] % STRIDES[-1]:
        raise UserError(f"image of {image.shape[1:3]} pixels is not a multiple of {STRIDES[-1]}: resize it")
