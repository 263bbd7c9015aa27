"""The parts of which every transformer here is made.

Parameters are float32 and carry the logical axis names of `AXES` (a name of None is never sharded); `dtype` is the type
of the computation. Activations carry ("batch", "sequence", "embed"), so rules that give the same mesh axis to "batch"
and "embed" must list "batch" first.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.attention import attention
from unimedvlp.parallel.operations import Embed

AXES = {
    "layers": "stacked layers of a scan",
    "vocab": "rows of a token table",
    "embed": "width of the residual stream",
    "heads": "attention heads",
    "head_dim": "width of one head",
    "mlp": "hidden width of a feed-forward layer",
    "position": "rows of a position table",
    "patch": "pixels of a patch, flattened",
}

KERNEL = nn.initializers.xavier_uniform()
EMBEDDING = nn.initializers.truncated_normal(0.02)


def named(init: nn.initializers.Initializer, *axes: str | None) -> nn.initializers.Initializer:
    """`init` whose parameter carries one logical axis name per dimension."""
    return nn.with_logical_partitioning(init, axes)


def constrain(x: jax.Array) -> jax.Array:
    """The activation constraint of a block, for x [B, T, D] or a map [B, H, W, D]; does nothing without a mesh."""
    return nn.with_logical_constraint(x, ("batch", "sequence", *[None] * (x.ndim - 3), "embed"))


def layer_norm(eps: float, dtype: Any, axis: str | None = "embed", name: str | None = None) -> nn.LayerNorm:
    """LayerNorm over the last axis, statistics in float32."""
    scale, bias = named(nn.initializers.ones, axis), named(nn.initializers.zeros, axis)
    return nn.LayerNorm(epsilon=eps, dtype=dtype, scale_init=scale, bias_init=bias, name=name)


def token_table(vocab: int, width: int, dtype: Any = jnp.float32, init: Any = EMBEDDING) -> Embed:
    """A token embedding [vocab, width]; hand the same instance to encoder and decoder to tie them."""
    return Embed(vocab, width, dtype=dtype, embedding_init=named(init, "vocab", "embed"))


def dense(features: int, axes: tuple[str | None, str | None], dtype: Any, name: str | None = None) -> nn.Dense:
    """A linear layer whose kernel [in, features] carries `axes`."""
    kernel, bias = named(KERNEL, *axes), named(nn.initializers.zeros, axes[1])
    return nn.Dense(features, dtype=dtype, kernel_init=kernel, bias_init=bias, name=name)


def gelu(x: jax.Array) -> jax.Array:
    """The exact GELU (Hendrycks and Gimpel, 2016), in float32. By erf: `nn.gelu(approximate=False)` goes by erfc, which keeps digits
    far below 0 that no one needs, and cost a TPU 8 % of a ViT's step."""
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1 + jax.lax.erf(wide * 0.5**0.5))).astype(x.dtype)


def last_layer(features: int, name: str | None = None) -> nn.Dense:
    """A last linear layer in float32 whose outputs begin near 0, so that its loss begins at its known value."""
    return nn.Dense(features, dtype=jnp.float32, kernel_init=named(EMBEDDING, None, None), name=name)


class SplitHeads(nn.Module):
    """A linear layer onto heads: [B, T, D] -> [B, T, heads, head_dim]; the kernel is [D, heads, head_dim]."""

    heads: int
    head_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, T, D] -> [B, T, heads, head_dim]."""
        init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", in_axis=0, out_axis=(1, 2))
        shape = (x.shape[-1], self.heads, self.head_dim)
        kernel = self.param("kernel", named(init, "embed", "heads", "head_dim"), shape)
        bias = self.param("bias", named(nn.initializers.zeros, "heads", "head_dim"), shape[1:])
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return jnp.einsum("btd,dhk->bthk", x, kernel) + bias


class JoinHeads(nn.Module):
    """A linear layer from heads: [B, T, heads, head_dim] -> [B, T, width]; the kernel is [heads, head_dim, width]."""

    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, T, heads, head_dim] -> [B, T, width]."""
        init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", in_axis=(0, 1), out_axis=2)
        kernel = self.param("kernel", named(init, "heads", "head_dim", "embed"), (*x.shape[-2:], self.width))
        bias = self.param("bias", named(nn.initializers.zeros, "embed"), (self.width,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return jnp.einsum("bthk,hkd->btd", x, kernel) + bias


class MultiHeadAttention(nn.Module):
    """Multi-head attention with separate query, key and value inputs (Vaswani et al., 2017).

    Prompts that change only keys or only values are therefore arguments of the caller, not another block.
    """

    width: int
    heads: int
    dtype: Any = jnp.float32
    implementation: str = "xla"

    def setup(self) -> None:
        if self.width % self.heads:
            raise UserError(f"width {self.width} is not a multiple of heads {self.heads}: change one of them")
        head_dim = self.width // self.heads

        def project() -> SplitHeads:
            return SplitHeads(self.heads, head_dim, self.dtype)

        self.query, self.key, self.value = project(), project(), project()
        self.out = JoinHeads(self.width, self.dtype)

    def __call__(
        self,
        q_in: jax.Array,
        k_in: jax.Array,
        v_in: jax.Array,
        mask: jax.Array | None = None,
        bias: jax.Array | None = None,
    ) -> jax.Array:
        """q_in [B, T, D], k_in and v_in [B, S, D'], mask and bias broadcastable to [B, H, T, S] -> [B, T, D]."""
        return self.attend(q_in, *self.keys_values(k_in, v_in), mask, bias)

    def keys_values(self, k_in: jax.Array, v_in: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Projected keys and values, each [B, S, H, Dh]: what a cache keeps."""
        return self.key(k_in), self.value(v_in)

    def attend(
        self,
        q_in: jax.Array,
        k: jax.Array,
        v: jax.Array,
        mask: jax.Array | None = None,
        bias: jax.Array | None = None,
    ) -> jax.Array:
        """q_in [B, T, D] over already projected k, v [B, S, H, Dh] -> [B, T, D].

        Where q_in has K times as many rows as k, each K in turn look at the same keys, as K * T queries of one row.
        """
        q = self.query(q_in)
        rows = q.reshape(len(k), -1, *q.shape[2:])
        y = attention(rows, k, v, mask=mask, bias=bias, implementation=self.implementation)
        return self.out(y.reshape(q.shape))


class Mlp(nn.Module):
    """Feed-forward layer with an exact GELU: [B, T, D] -> [B, T, D]."""

    hidden: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, T, D] -> [B, T, D]."""
        y = dense(self.hidden, ("embed", "mlp"), self.dtype, "up")(x)
        return dense(x.shape[-1], ("mlp", "embed"), self.dtype, "down")(gelu(y))
