"""The decoder's key-value cache: an explicit pytree that goes in and out of `extend`.

It serves K hypotheses of each of B examples at once, K = 1 until `repeat`. What they have in common, the memory, is kept once, and
a slot is never moved: which slots belong to the past of a hypothesis is a matter of `mask`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class LayerCache:
    """What one layer reads in every step.

    params: the layer's own, cut out of the stack once. keys, values: of the tokens so far [B, H, Dh, S * K];
    memory_keys, memory_values: [B, H, Dh, N]. Slots come last, as the two products of attention want them.
    """

    params: Any
    keys: jax.Array
    values: jax.Array
    memory_keys: jax.Array
    memory_values: jax.Array

    @classmethod
    def empty(cls, params: Any, memory_keys: jax.Array, memory_values: jax.Array, length: int) -> LayerCache:
        """No tokens yet, room for `length`; memory_keys and memory_values [B, N, H, Dh]."""
        memory = slots_last(memory_keys), slots_last(memory_values)
        memory = jax.lax.optimization_barrier(memory)  # or XLA transposes again in every step of a loop
        slots = jnp.zeros((*memory[0].shape[:-1], length), memory_keys.dtype)
        return cls(params, slots, slots, *memory)

    def append(self, keys: jax.Array, values: jax.Array, used: jax.Array) -> LayerCache:
        """Write keys and values [B * K, T, H, Dh] behind the `used` tokens of each hypothesis."""
        return self.replace(keys=_write(self.keys, keys, used), values=_write(self.values, values, used))


@struct.dataclass
class Cache:
    """What the decoder remembers between calls.

    mask [B, K, S, K] bool: the slots (s, j) that hold a real token of hypothesis k's past; memory_mask [B, N] bool;
    used int32 []: tokens written so far, pads included, the same in every row.
    """

    layers: tuple[LayerCache, ...]
    mask: jax.Array
    memory_mask: jax.Array
    used: jax.Array

    @classmethod
    def empty(cls, layers: tuple[LayerCache, ...], memory_mask: jax.Array, length: int) -> Cache:
        """No tokens yet, room for `length`, of which `layers` are made; memory_mask bool [B, N]."""
        return cls(layers, jnp.zeros((len(memory_mask), 1, length, 1), bool), memory_mask, jnp.int32(0))

    @property
    def length(self) -> int:
        """How many tokens there is room for, written or not."""
        return self.mask.shape[2]

    def admit(self, mask: jax.Array) -> tuple[Cache, jax.Array]:
        """Make the next T tokens known by mask [B * K, T]; returns what each new query may see, bool [B, K * T, S * K]."""
        examples, beams, length, _ = self.mask.shape
        new = mask.reshape(examples, beams, -1, 1) & jnp.eye(beams, dtype=bool)[:, None]
        all_slots = jax.lax.dynamic_update_slice(self.mask, new, (0, 0, self.used, 0))
        past = jnp.arange(length) <= self.used + jnp.arange(mask.shape[1])[:, None]
        sees = all_slots[:, :, None] & past[..., None]
        return self.replace(mask=all_slots), sees.reshape(examples, -1, length * beams)

    def repeat(self, count: int) -> Cache:
        """Every row of a cache with K = 1 becomes `count` hypotheses, [B] -> [B * count]: the beams of a search."""
        layers = tuple(
            x.replace(keys=jnp.repeat(x.keys, count, -1), values=jnp.repeat(x.values, count, -1)) for x in self.layers
        )
        mask = jnp.repeat(self.mask, count, axis=1) & (jnp.arange(count) == 0)
        return self.replace(layers=layers, mask=mask)

    def reorder(self, rows: jax.Array) -> Cache:
        """Row i takes over the past of row rows[i], int32 [B * K], a hypothesis of the same example."""
        mask = self.mask.reshape(-1, *self.mask.shape[2:])[rows]
        return self.replace(mask=mask.reshape(self.mask.shape))


def slots_last(x: jax.Array) -> jax.Array:
    """[B, S, H, Dh] -> [B, H, Dh, S], or [H, Dh, S] if B is 1: XLA drops axes of length 1 and would keep the array in both forms."""
    x = jnp.moveaxis(x, 1, -1)
    return x[0] if len(x) == 1 else x


def slots_second(x: jax.Array) -> jax.Array:
    """The inverse of `slots_last`: [B, S, H, Dh]."""
    return jnp.moveaxis(x[None] if x.ndim == 3 else x, -1, 1)


def _write(slots: jax.Array, new: jax.Array, used: jax.Array) -> jax.Array:
    """Write new [B * K, T, H, Dh] into slots [B, H, Dh, S * K] from token `used` on."""
    examples, (rows, length, *head) = len(slots_second(slots)), new.shape
    beams = rows // examples
    new = new.reshape(examples, beams, length, *head).swapaxes(1, 2).reshape(examples, -1, *head)
    return jax.lax.dynamic_update_slice_in_dim(slots, slots_last(new).astype(slots.dtype), used * beams, axis=-1)
