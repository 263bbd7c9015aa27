"""Several views of one study through one image encoder."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.layers import EMBEDDING, named


class MultiView(nn.Module):
    """Every view through `encoder`, plus a learned embedding of the view's place; absent views are masked.

    `mean` and `std` are per channel, or one number for all, on the 0..1 scale of the pixels. With `per_image` every image gets
    mean 0 and deviation 1 of its own instead, which takes away exposure and window.
    """

    encoder: nn.Module
    views: int
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    per_image: bool = False

    def __call__(
        self, image: jax.Array, view_mask: jax.Array, *, deterministic: bool = True
    ) -> tuple[jax.Array, jax.Array]:
        """image uint8 [B, V, H, W, C], view_mask bool [B, V] -> tokens [B, V * (1 + N), D], mask [B, V * (1 + N)].

        Tokens of absent views are zero. Raises UserError for more views than `views`.
        """
        return self.place(self.encoder(self.pixels(image), deterministic=deterministic), view_mask)

    def pixels(self, image: jax.Array) -> jax.Array:
        """image uint8 [B, V, H, W, C] -> normalised views, float32 [B * V, H, W, C]."""
        pixels = image.reshape(-1, *image.shape[2:]).astype(jnp.float32) / 255
        if self.per_image:
            return nn.standardize(pixels, axis=(1, 2, 3), epsilon=1e-6)
        return (pixels - jnp.asarray(self.mean)) / jnp.asarray(self.std)

    @nn.compact
    def place(self, tokens: jax.Array, view_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encoded views [B * V, T, D], view_mask bool [B, V] -> tokens of the study [B, V * T, D] and their mask."""
        b, v = view_mask.shape
        if v > self.views:
            raise UserError(f"a batch has {v} views, the model was made for {self.views}: set views to {v}")
        _, n, d = tokens.shape
        place = self.param("view", named(EMBEDDING, None, "embed"), (self.views, d))[:v, None]
        tokens = tokens.reshape(b, v, n, d) + place.astype(tokens.dtype)
        tokens = jnp.where(view_mask[:, :, None, None], tokens, 0)
        return tokens.reshape(b, v * n, d), jnp.repeat(view_mask, n, axis=1)
