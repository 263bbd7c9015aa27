"""Every example of one side meets every example of the other, with no more than a tile of pairs at a time on a device.

Each device keeps its rows; the visitors travel round the batch axes of the mesh (`ppermute`) together with what is
being summed up for them, and are at home again after one turn. Memory is linear in the local batch and does not grow
with the number of devices.

The mesh is the one that is active where the function is traced (`parallel.rules.activate`, `jax.set_mesh`); without
one, or without batch axes in it, everything happens on one device, in tiles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from unimedvlp.parallel.mesh import BATCH_AXES

Side = dict[str, jax.Array]  # what is known of the examples of one side, arrays [b, ...]
Axes = tuple[str, ...]

EACH = PartitionSpec(BATCH_AXES)  # split over the devices by example
SAME = PartitionSpec()  # the same on every device


def spread(local: Callable, inputs: tuple, in_specs: Any, out_specs: Any) -> Any:
    """`local(*inputs, axes)` on every device; specs `EACH` and `SAME` as for `jax.shard_map`. () without a mesh."""
    if not set(BATCH_AXES) <= set(jax.sharding.get_abstract_mesh().axis_names):
        return local(*inputs, ())
    return jax.shard_map(lambda *args: local(*args, BATCH_AXES), in_specs=in_specs, out_specs=out_specs)(*inputs)


def turn(
    meet: Callable[[Side, Side], tuple[Side, Side]], rows: Side, visitors: Side, axes: Axes, tile: int
) -> tuple[Side, Side]:
    """One turn, inside `spread`: both sides as `meet` (rows `[b]`, visitors `[t]`, t <= tile) leaves them."""
    size = len(jax.tree.leaves(visitors)[0])
    tile = max(t for t in range(1, min(tile, size) + 1) if size % t == 0)
    ways = jax.lax.axis_size(axes) if axes else 1
    visitors = jax.tree.map(lambda x: x.reshape(size // tile, tile, *x.shape[1:]), visitors)
    onward = functools.partial(jax.lax.ppermute, axis_name=axes, perm=[(i, (i + 1) % ways) for i in range(ways)])

    def stop(sides: tuple[Side, Side], _: None) -> tuple[tuple[Side, Side], None]:
        rows, visitors = jax.lax.scan(meet, *sides)
        return (rows, jax.tree.map(onward, visitors) if axes else visitors), None

    (rows, visitors), _ = jax.lax.scan(stop, (rows, visitors), None, length=ways)
    return rows, jax.tree.map(lambda x: x.reshape(size, *x.shape[2:]), visitors)


def total(values: jax.Array, axes: Axes) -> jax.Array:
    """The float32 sum of values over all devices, inside `spread`."""
    values = values.sum(dtype="float32")
    return jax.lax.psum(values, axes) if axes else values
