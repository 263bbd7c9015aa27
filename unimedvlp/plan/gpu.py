"""The same figures measured, where there is a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training.devices import memory_gib, peak_tflops
from unimedvlp.training.flops import flops_per_step

WARM_UP, STEPS = 3, 10


def measure(
    make: Callable[[Any, int], tuple[Any, Any, Any]], mesh_spec: Mapping[str, int], batch: int
) -> dict[str, Any]:
    """Seconds a step, MFU and memory of a step on the GPUs at hand, on parameters and batches of ones.

    `make(mesh, batch)` gives the jitted step, and state and batch as shapes. UserError where JAX finds no GPU.
    """
    if jax.default_backend() != "gpu":
        raise UserError(
            f"--gpu: JAX finds no GPU, only {jax.default_backend()}; pip install 'unimedvlp[gpu]', or --topology"
        )
    mesh = make_mesh(mesh_spec)
    step, state, rows = make(mesh, batch)
    flops = flops_per_step(step, state, rows)
    seconds = time_steps(step, state, rows)
    peak = peak_tflops(jax.devices()[0].device_kind)
    return {
        "device": jax.devices()[0].device_kind,
        "chips": mesh.size,
        "global_batch": batch,
        "hbm_gib_per_chip": memory_gib().get("device_gib"),
        "flops_per_step": flops,
        "step_seconds": seconds,
        "mfu": flops / seconds / (peak * 1e12 * mesh.size) if peak else None,
    }


def time_steps(step: Any, state: Any, batch: Any, steps: int = STEPS) -> float:
    """Mean seconds of a step, after some that are not counted; the state starts as ones."""
    state, batch = (
        jax.tree.map(lambda x: jax.device_put(jnp.ones(x.shape, x.dtype), x.sharding), tree) for tree in (state, batch)
    )
    begun = 0.0
    for turn in range(WARM_UP + steps):
        if turn == WARM_UP:
            jax.block_until_ready(state)
            begun = time.perf_counter()
        state, _ = step(state, batch)
    jax.block_until_ready(state)
    return (time.perf_counter() - begun) / steps
