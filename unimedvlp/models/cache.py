"""The decoder's key-value cache: an explicit pytree that goes in and out of `extend`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class LayerCache:
    """Keys and values of every layer, or of one inside the scan (then without the leading axis).

    keys, values: of the tokens so far [layers, B, S, H, Dh]; memory_keys, memory_values: [layers, B, N, H, Dh].
    """

    keys: jax.Array
    values: jax.Array
    memory_keys: jax.Array
    memory_values: jax.Array


@struct.dataclass
class Cache:
    """What the decoder remembers between calls.

    mask [B, S] bool: slots that hold a real token; memory_mask [B, N] bool; used int32 []: slots written so far,
    pads included, the same in every row.
    """

    layers: LayerCache
    mask: jax.Array
    memory_mask: jax.Array
    used: jax.Array

    @classmethod
    def empty(cls, memory_keys: jax.Array, memory_values: jax.Array, memory_mask: jax.Array, length: int) -> Cache:
        """No tokens yet, room for `length`; memory_keys and memory_values [layers, B, N, H, Dh]."""
        layers, batch, _, heads, head_dim = memory_keys.shape
        slots = jnp.zeros((layers, batch, length, heads, head_dim), memory_keys.dtype)
        mask = jnp.zeros((batch, length), bool)
        return cls(LayerCache(slots, slots, memory_keys, memory_values), mask, memory_mask, jnp.int32(0))

    @property
    def length(self) -> int:
        """How many slots there are, written or not."""
        return self.mask.shape[1]

    def admit(self, mask: jax.Array) -> tuple[Cache, jax.Array]:
        """Make the next T slots known by mask [B, T]; returns what each new query may see, [B, T, S] bool."""
        all_slots = jax.lax.dynamic_update_slice(self.mask, mask, (0, self.used))
        past = jnp.arange(self.length) <= self.used + jnp.arange(mask.shape[1])[:, None]
        return self.replace(mask=all_slots), all_slots[:, None] & past

    def append(self, keys: jax.Array, values: jax.Array) -> Cache:
        """Write keys and values [layers, B, T, H, Dh] of the admitted tokens."""
        write = jax.vmap(append, (0, 0, None))
        old = self.layers
        layers = old.replace(keys=write(old.keys, keys, self.used), values=write(old.values, values, self.used))
        return self.replace(layers=layers, used=self.used + keys.shape[2])

    def repeat(self, count: int) -> Cache:
        """Every row `count` times in a row, [B] -> [B * count]: the beams of a search."""
        layers = jax.tree.map(lambda x: jnp.repeat(x, count, axis=1), self.layers)
        mask, memory_mask = jnp.repeat(self.mask, count, axis=0), jnp.repeat(self.memory_mask, count, axis=0)
        return self.replace(layers=layers, mask=mask, memory_mask=memory_mask)

    def reorder(self, rows: jax.Array) -> Cache:
        """Row i becomes row rows[i], int32 [B]; memory stays, so rows may only move among beams of one example."""
        layers = self.layers.replace(keys=self.layers.keys[:, rows], values=self.layers.values[:, rows])
        return self.replace(layers=layers, mask=self.mask[rows])


def append(slots: jax.Array, new: jax.Array, used: jax.Array) -> jax.Array:
    """Write new [B, T, H, Dh] into slots [B, S, H, Dh] from position `used` on."""
    return jax.lax.dynamic_update_slice(slots, new.astype(slots.dtype), (0, used, 0, 0))
