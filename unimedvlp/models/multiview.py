"""Several views of one study through one image encoder."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.layers import EMBEDDING, named


class MultiView(nn.Module):
    """Every view through `encoder`, plus a learned embedding of the view's place; absent views are masked.

    `mean` and `std` are per channel, or one number for all, on the 0..1 scale of the pixels.
    """

    encoder: nn.Module
    views: int
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    @nn.compact
    def __call__(
        self, image: jax.Array, view_mask: jax.Array, *, deterministic: bool = True
    ) -> tuple[jax.Array, jax.Array]:
        """image uint8 [B, V, H, W, C], view_mask bool [B, V] -> tokens [B, V * (1 + N), D], mask [B, V * (1 + N)].

        Tokens of absent views are zero. Raises UserError for more views than `views`.
        """
        b, v = view_mask.shape
        if v > self.views:
            raise UserError(f"a batch has {v} views, the model was made for {self.views}: set views to {v}")
        pixels = image.reshape(b * v, *image.shape[2:]).astype(jnp.float32) / 255
        pixels = (pixels - jnp.asarray(self.mean)) / jnp.asarray(self.std)
        tokens = self.encoder(pixels, deterministic=deterministic)
        _, n, d = tokens.shape
        place = self.param("view", named(EMBEDDING, None, "embed"), (self.views, d))[:v, None]
        tokens = tokens.reshape(b, v, n, d) + place.astype(tokens.dtype)
        tokens = jnp.where(view_mask[:, :, None, None], tokens, 0)
        return tokens.reshape(b, v * n, d), jnp.repeat(view_mask, n, axis=1)
