"""What a query says: where it is in pixels (mask, box), and what it is (an embedding that is compared with class names)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.layers import dense, layer_norm, named


class Perceptron(nn.Module):
    """Three linear layers with ReLU between: [..., D] -> [..., out]; with `zero` the last one begins at 0."""

    hidden: int
    out: int
    zero: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [..., D] -> [..., out]."""
        x = nn.relu(dense(self.hidden, ("embed", "mlp"), self.dtype, "first")(x))
        x = nn.relu(dense(self.hidden, ("mlp", "embed"), self.dtype, "second")(x))
        init = nn.initializers.zeros if self.zero else nn.initializers.xavier_uniform()
        bias = named(nn.initializers.zeros, None)
        return nn.Dense(
            self.out, dtype=self.dtype, kernel_init=named(init, "embed", None), bias_init=bias, name="third"
        )(x)


class QueryHeads(nn.Module):
    """Semantic and pixel outputs of query states, after X-Decoder's public code; boxes relative to a reference: DETR's.

    `masks` False leaves mask logits out. `scale` is the log of the factor of similarities at the start (X-Decoder: 1).
    """

    width: int
    masks: bool = True
    scale: float = 1.0
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.norm = layer_norm(1e-6, self.dtype)
        self.semantic = dense(self.width, ("embed", None), self.dtype)
        self.log_scale = self.param("log_scale", nn.initializers.constant(self.scale), ())
        self.box = Perceptron(self.width, 4, True, self.dtype)
        if self.masks:
            self.mask = Perceptron(self.width, self.width, False, self.dtype)

    def __call__(
        self, states: jax.Array, reference: jax.Array, names: jax.Array, features: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        """states [B, Q, D], reference boxes [B, Q, 4] (centres, 0..1), class names [C, D] at unit length, mask features
        [B, h, w, D] -> float32 `class` logits [B, Q, C], `box` centres [B, Q, 4] and `mask` logits [B, Q, h, w]."""
        states = self.norm(states)
        offset = self.box(states).astype(jnp.float32)
        found = {"class": self.compare(states, names), "box": nn.sigmoid(offset + logit(reference))}
        if self.masks:
            found["mask"] = jnp.einsum(
                "bqd,bhwd->bqhw", self.mask(states), features, preferred_element_type=jnp.float32
            )
        return found

    def compare(self, states: jax.Array, names: jax.Array) -> jax.Array:
        """exp(scale) times the cosine of normalised states [..., D] with class names [C, D]: float32 [..., C]."""
        said = self.embed(states)
        scale = jnp.minimum(jnp.exp(self.log_scale), 100.0)
        return scale * jnp.einsum("...d,cd->...c", said, names, preferred_element_type=jnp.float32)

    def embed(self, states: jax.Array) -> jax.Array:
        """The semantic output of normalised states, at unit length, float32 [..., D]."""
        said = self.semantic(states).astype(jnp.float32)
        return said * jax.lax.rsqrt(jnp.square(said).sum(-1, keepdims=True) + 1e-12)


def logit(x: jax.Array) -> jax.Array:
    """The inverse of the sigmoid, for x in 0..1, finite."""
    x = jnp.clip(x.astype(jnp.float32), 1e-4, 1 - 1e-4)
    return jnp.log(x) - jnp.log1p(-x)
