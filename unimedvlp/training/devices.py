"""What the devices can do, by their names, and what they hold."""

from __future__ import annotations

import resource
import sys

import jax

# Dense bfloat16 TFLOP/s of one device as JAX counts devices, by the beginning of `device_kind`; from the makers' data sheets.
PEAK_TFLOPS = {
    "TPU v4": 275.0,
    "TPU v5 lite": 197.0,
    "TPU v5e": 197.0,
    "TPU v5p": 459.0,
    "TPU v5": 459.0,
    "TPU v6 lite": 918.0,
    "TPU v6e": 918.0,
    "TPU7x": 1153.0,
    "NVIDIA A100": 312.0,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100": 989.0,
    "NVIDIA H200": 989.0,
    "NVIDIA B200": 2250.0,
}


def peak_tflops(kind: str) -> float | None:
    """Peak of one device of this `device_kind`; None where it is not known, as for CPUs."""
    return next((peak for name, peak in PEAK_TFLOPS.items() if kind.startswith(name)), None)


def memory_gib() -> dict[str, float]:
    """Largest use so far: `device_gib` of the fullest local device (where it tells), `host_gib` of this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"host_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    used = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
    return found | ({"device_gib": max(used) / 2**30} if used else {})
