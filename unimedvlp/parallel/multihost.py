"""Several processes as one computation: start, batches, agreement. With one process everything here is trivial."""

from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from orbax.checkpoint.multihost import get_barrier_sync_fn

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import BATCH_AXES
from unimedvlp.parallel.rules import batch_sharding


def initialize(coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Joins the processes of one run; call it before anything touches a device.

    Args:
      coordinator: "host:port" of process 0, "auto" where the platform knows (Cloud TPU, Slurm), None for one process.
      num_processes, process_id: how many there are and which one this is; not needed with "auto".
      Each defaults to the environment: UNIMEDVLP_COORDINATOR, UNIMEDVLP_NUM_PROCESSES, UNIMEDVLP_PROCESS_ID.

    Raises:
      UserError: if a coordinator is given without the two numbers.
    """
    coordinator = coordinator or os.environ.get("UNIMEDVLP_COORDINATOR")
    if not coordinator:
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if coordinator == "auto":
        jax.distributed.initialize()
        return
    num_processes = _number("UNIMEDVLP_NUM_PROCESSES", num_processes)
    process_id = _number("UNIMEDVLP_PROCESS_ID", process_id)
    jax.distributed.initialize(coordinator, num_processes, process_id)


def process_zero() -> bool:
    """Whether this process writes what only one may write."""
    return jax.process_index() == 0


def batch_share(mesh: Mesh) -> tuple[int, int]:
    """(i, n): this process loads the i-th of n equal slices of every global batch.

    Processes whose devices differ only along `tensor` or `sequence` load the same slice.
    """
    ways = int(np.prod([mesh.shape[axis] for axis in BATCH_AXES]))
    slices = batch_sharding(mesh).addressable_devices_indices_map((ways,)).values()
    starts = sorted({index[0].start or 0 for index in slices})
    if starts != list(range(starts[0], starts[0] + len(starts))):
        raise UserError(
            f"mesh: process {jax.process_index()} holds scattered parts {starts} of the batch; reorder axes"
        )
    return starts[0] // len(starts), ways // len(starts)


def global_batch(batch: Any, mesh: Mesh) -> Any:
    """Puts this process's slice of a batch (NumPy, [B / n, ...] each) on its devices as part of the global [B, ...]."""
    sharding, (_, shares) = batch_sharding(mesh), batch_share(mesh)

    def put(x: np.ndarray) -> jax.Array:
        x = np.asarray(x)
        x = x.astype(jax.dtypes.canonicalize_dtype(x.dtype), copy=False)
        return jax.make_array_from_process_local_data(sharding, x, (x.shape[0] * shares, *x.shape[1:]))

    return jax.tree.map(put, batch)


def barrier(name: str, timeout_s: float = 300.0) -> None:
    """Waits until every process is here, at most `timeout_s` seconds; then raises jax.errors.JaxRuntimeError."""
    get_barrier_sync_fn()(key=name, timeout_ms=int(timeout_s * 1000))


def broadcast_from_zero(value: Any) -> Any:
    """The value (a tree of arrays or numbers, same shapes everywhere) that process 0 holds."""
    return multihost_utils.broadcast_one_to_all(value)


def votes(*flags: bool) -> np.ndarray:
    """What every process says: bool [processes, flags]. Every process must ask at the same point."""
    if jax.process_count() == 1:
        return np.asarray([flags])
    return np.asarray(multihost_utils.process_allgather(np.asarray(flags)))


def _number(variable: str, value: int | None) -> int:
    text = os.environ.get(variable) if value is None else str(value)
    if text is None or not text.isdigit():
        raise UserError(f"several processes need {variable} (found {text!r}): give it beside UNIMEDVLP_COORDINATOR")
    return int(text)
