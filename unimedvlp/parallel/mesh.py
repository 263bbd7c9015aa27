"""The device mesh: five named axes, from one CPU device to several slices of a pod."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from unimedvlp.errors import UserError

AXES = ("replica", "data", "fsdp", "tensor", "sequence")
BATCH_AXES = ("replica", "data", "fsdp")


def make_mesh(spec: Mapping[str, int] | None = None, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Builds the mesh over `AXES`; all axis types are Auto (the compiler propagates shardings).

    Args:
      spec: size of each axis; an axis not named has size 1, and one axis may be -1 for "the devices that are left".
        None or empty puts every device on `data`.
      devices: the devices to use; all of `jax.devices()` by default. Over several slices `replica` runs across them, so
        that only its collectives leave a slice.

    Raises:
      UserError: for an unknown axis, more than one -1, or sizes that do not use exactly the devices at hand.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = dict.fromkeys(AXES, 1) | (dict(spec) if spec else {"data": -1})
    unknown = sorted(set(sizes) - set(AXES))
    if unknown:
        raise UserError(f"mesh: unknown axis {unknown[0]!r}; the axes are {', '.join(AXES)}")
    bad = [f"{axis}={size}" for axis, size in sizes.items() if size != -1 and size < 1]
    if bad:
        raise UserError(f"mesh: {bad[0]} must be a positive size, or -1 for the devices that are left")
    free = [axis for axis, size in sizes.items() if size == -1]
    if len(free) > 1:
        raise UserError(f"mesh: only one axis may be -1, not both {free[0]} and {free[1]}")
    count, named = len(devices), math.prod(size for size in sizes.values() if size != -1)
    if count % named or (not free and named != count):
        asked = ", ".join(f"{axis}={size}" for axis, size in sizes.items() if size != 1)
        divisors = ", ".join(str(n) for n in range(1, count + 1) if count % n == 0)
        fit = f"the fixed sizes must multiply to one of {divisors}" if free else f"they must multiply to {count}"
        raise UserError(f"mesh: {asked or 'all sizes 1'} does not fit {count} device(s): {fit}; -1 takes the rest")
    if free:
        sizes[free[0]] = count // named
    shape = tuple(sizes[axis] for axis in AXES)
    types = (AxisType.Auto,) * len(AXES)
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices == 1:
        return jax.make_mesh(shape, AXES, axis_types=types, devices=devices)
    if sizes["replica"] % slices:
        raise UserError(f"mesh: replica={sizes['replica']} on {slices} slices; it must be a multiple of {slices}")
    inside = (sizes["replica"] // slices, *shape[1:])
    across = (slices, *(1 for _ in shape[1:]))
    return Mesh(mesh_utils.create_hybrid_device_mesh(inside, across, devices), AXES, axis_types=types)
