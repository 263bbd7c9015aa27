"""Transformer blocks and the scanned stack of them that every encoder and decoder uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.attention import padding_mask
from unimedvlp.models.cache import Cache, LayerCache, slots_second
from unimedvlp.models.layers import Mlp, MultiHeadAttention, constrain, layer_norm

REMAT = {
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


class Block(nn.Module):
    """Self-attention, optional cross-attention to a memory, feed-forward; each with a residual.

    `pre_norm=True` normalises the input of each part (ViT, GPT-2), False the sum after it (BERT).
    `mlp` is the hidden width; `dropout` acts on the output of each part.
    """

    width: int
    heads: int
    mlp: int
    cross: bool = False
    pre_norm: bool = True
    dropout: float = 0.0
    eps: float = 1e-6
    dtype: Any = jnp.float32
    implementation: str = "xla"

    def setup(self) -> None:
        def heads() -> MultiHeadAttention:
            return MultiHeadAttention(self.width, self.heads, self.dtype, self.implementation)

        self.attention, self.attention_norm = heads(), layer_norm(self.eps, self.dtype)
        if self.cross:
            self.cross_attention, self.cross_norm = heads(), layer_norm(self.eps, self.dtype)
        self.feed_forward, self.feed_forward_norm = Mlp(self.mlp, self.dtype), layer_norm(self.eps, self.dtype)
        self.drop = nn.Dropout(self.dropout)

    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array | None = None,
        memory: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        *,
        deterministic: bool = True,
    ) -> jax.Array:
        """x [B, T, D], memory [B, N, D], masks as in `attention` -> [B, T, D]."""
        y = self._before(self.attention_norm, x)
        x = self._after(self.attention_norm, x, self.attention(y, y, y, mask), deterministic)
        if self.cross:
            y = self._before(self.cross_norm, x)
            y = self.cross_attention(y, memory, memory, memory_mask)
            x = self._after(self.cross_norm, x, y, deterministic)
        return self._finish(x, deterministic)

    def memory_keys_values(self, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The cross-attention's keys and values of memory [B, N, D], each [B, N, H, Dh]."""
        return self.cross_attention.keys_values(memory, memory)

    def extend(
        self, x: jax.Array, past: LayerCache, used: jax.Array, mask: jax.Array, memory_mask: jax.Array
    ) -> tuple[jax.Array, LayerCache]:
        """x [B * K, T, D] after the `used` tokens of `past` -> ([B * K, T, D], with them in the cache)."""
        y = self._before(self.attention_norm, x)
        past = past.append(*self.attention.keys_values(y, y), used)
        y = self.attention.attend(y, slots_second(past.keys), slots_second(past.values), mask)
        x = self._after(self.attention_norm, x, y, True)
        y = self._before(self.cross_norm, x)
        memory = slots_second(past.memory_keys), slots_second(past.memory_values)
        y = self.cross_attention.attend(y, *memory, memory_mask)
        x = self._after(self.cross_norm, x, y, True)
        return self._finish(x, True), past

    def _finish(self, x: jax.Array, deterministic: bool) -> jax.Array:
        y = self.feed_forward(self._before(self.feed_forward_norm, x))
        return constrain(self._after(self.feed_forward_norm, x, y, deterministic))

    def _before(self, norm: nn.LayerNorm, x: jax.Array) -> jax.Array:
        return norm(x) if self.pre_norm else x

    def _after(self, norm: nn.LayerNorm, x: jax.Array, y: jax.Array, deterministic: bool) -> jax.Array:
        x = x + self.drop(y, deterministic=deterministic)
        return x if self.pre_norm else norm(x)


class Stack(nn.Module):
    """`depth` equal blocks as one scan, parameters stacked on a leading "layers" axis; pre-norm stacks end in a norm.

    `block` is a template made with parent=None. `remat` names what the backward pass recomputes: "none", "dots" (all but the
    outputs of the linear layers) or "full" (all but the block's input). `unroll` is the number of layers per loop turn.
    """

    block: Block
    depth: int
    remat: str = "none"
    unroll: int = 1

    def setup(self) -> None:
        if self.remat not in ("none", *REMAT):
            raise UserError(f"remat {self.remat!r} is unknown: use one of {('none', *REMAT)}")
        if self.block.pre_norm:
            self.norm = layer_norm(self.block.eps, self.block.dtype)

    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array | None = None,
        memory: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        *,
        deterministic: bool = True,
    ) -> jax.Array:
        """x [B, T, D], memory [B, N, D], masks as in `attention` -> [B, T, D]."""

        def body(block, x, mask, memory, memory_mask):
            return block(x, mask, memory, memory_mask, deterministic=deterministic), None

        if self.remat != "none":
            body = nn.remat(body, policy=REMAT[self.remat], prevent_cse=False)
        layers = scan_layers(body, self.depth, (nn.broadcast,) * 3, self.unroll)
        x, _ = layers(self.block, x, mask, memory, memory_mask)
        return self._normalise(x)

    def start(self, memory: jax.Array, memory_mask: jax.Array, length: int) -> Cache:
        """An empty cache of `length` positions over memory [B, N, D], memory_mask [B, N] bool."""
        params = nn.unbox(self.variables["params"]["block"])
        block = self.block.clone(parent=None)

        def layer(index: int) -> LayerCache:
            own = jax.tree.map(lambda x: x[index], params)
            keys_values = block.apply({"params": own}, memory, method="memory_keys_values")
            return LayerCache.empty(own, *keys_values, length)

        return Cache.empty(tuple(map(layer, range(self.depth))), memory_mask, length)

    def extend(self, x: jax.Array, mask: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """x [B * K, T, D] after `cache`, which has admitted it; mask [B, 1, K * T, S * K] -> ([B * K, T, D], cache).

        A loop over layers that are apart already: a scan would cut each one's parameters out of the stack in every step.
        Attention is that of "xla": fused kernels are made for many queries and would turn the slots around in every step.
        """
        block = self.block.clone(parent=None, implementation="xla")
        layers, memory_mask = [], padding_mask(cache.memory_mask)
        for past in cache.layers:
            given = x, past, cache.used, mask, memory_mask
            x, layer = block.apply({"params": past.params}, *given, method="extend")
            layers.append(layer)
        return self._normalise(x), cache.replace(layers=tuple(layers), used=cache.used + x.shape[1])

    def _normalise(self, x: jax.Array) -> jax.Array:
        return self.norm(x) if self.block.pre_norm else x


def stack_of(owner: nn.Module, **options: Any) -> Stack:
    """The stack of an encoder or decoder that has the fields of `Block` and `Stack` itself; `options` are of the block."""
    shared = ("width", "heads", "mlp", "dropout", "eps", "dtype", "implementation")
    block = Block(**{name: getattr(owner, name) for name in shared}, **options, parent=None)
    return Stack(block, owner.depth, owner.remat, owner.unroll)


def scan_layers(body: Callable, depth: int, in_axes: Any = (), unroll: int = 1) -> Callable:
    """`body(module, carry, *inputs)` as a loop over `depth` layers, whose parameters are stacked on a "layers" axis."""
    return nn.scan(
        body,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=in_axes,
        length=depth,
        unroll=unroll,
        metadata_params={nn.PARTITION_NAME: "layers"},
    )
