"""A whole training step (forward, backward, clipping, AdamW) against the same computation in PyTorch, in one run.

    python -m benchmarks.train_step                                     # two towers on CPU cores: float32, small batch
    python -m benchmarks.train_step --system baseline --size tiny --batch 16
    python -m benchmarks.train_step --system unidcp --size tiny --batch 2
    python -m benchmarks.train_step --system unimed --size tiny --batch 8
    python -m benchmarks.train_step --batch 256 --dtype bfloat16 --implementation cudnn --compile       # one GPU

Ours is the training step of the loop (`training.step.make_train_step`), on one device; theirs is Hugging Face or PyTorch
modules with SDPA, eager and with torch.compile, the fused AdamW and, at bfloat16, autocast. The steps alternate, so that whatever else
the machine does meets all of them; the medians are compared. On a machine that others use too, CPU seconds tell more than the
clock. Ratios above 1: ours is faster.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # PyTorch's idle threads would otherwise spin on the cores of the other

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
import transformers

from benchmarks import baseline_pair, two_tower, unidcp_pair, unimed_pair
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training import optimizers
from unimedvlp.training.flops import flops_per_step
from unimedvlp.training.state import abstract_state, create
from unimedvlp.training.step import make_train_step

ADAMW = {"learning_rate": 1e-4, "schedule": "constant", "weight_decay": 0.1, "clip": 1.0}
SYSTEMS = {"two_tower": two_tower, "baseline": baseline_pair, "unidcp": unidcp_pair, "unimed": unimed_pair}
Step = Callable[[], float]


def ours(system: Any, batch: dict[str, Any]) -> tuple[Step, float]:
    """(one step that returns its loss, FLOPs of it)."""
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    optimizer = optimizers.make(ADAMW, 1000)
    abstract = abstract_state(system, optimizer, batch, mesh, ema=False)
    train_step = make_train_step(system, optimizer, abstract, mesh)
    flops = flops_per_step(train_step, abstract, batch)
    state = create(system, optimizer, jax.random.key(0), batch, mesh)
    batch = jax.device_put(batch)

    def step() -> float:
        nonlocal state
        state, metrics = train_step(state, batch)
        return float(metrics["loss"])

    return step, flops


def theirs(model: torch.nn.Module, inputs: tuple[Any, ...], dtype: str, *, compiled: bool) -> Step:
    """One step of a PyTorch module whose forward gives the loss."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).train()
    inputs = tuple(torch.tensor(x).to(device) for x in inputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    forward = torch.compile(model) if compiled else model

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = forward(*inputs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def interleaved(steps: dict[str, Step], repeats: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each by the clock and of the process's CPUs, after one run each to compile."""
    for step in steps.values():
        step()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            begun = time.perf_counter(), time.process_time()
            step()
            times[name].append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    return {name: tuple(map(statistics.median, zip(*each, strict=True))) for name, each in times.items()}


def pair(options: argparse.Namespace) -> tuple[Any, dict[str, Any], Callable[[], torch.nn.Module], tuple[Any, ...]]:
    """(our system, its batch, their model, its inputs)"""
    model = {"dtype": options.dtype, "remat": options.remat}
    if options.implementation:
        model["implementation"] = options.implementation
    if options.system == "two_tower":
        batch = two_tower.make_batch(options.batch)
        system = two_tower.TwoTower(two_tower.Towers(options.size, **model | {"dtype": jnp.dtype(options.dtype)}))
        return system, batch, lambda: two_tower.torch_towers(options.size), two_tower.torch_inputs(batch)
    twin = SYSTEMS[options.system]
    batch, system = twin.make_batch(options.size, options.batch), twin.make_system(options.size, **model)
    return system, batch, lambda: twin.Twin(options.size), twin.torch_inputs(batch)


def main() -> None:
    """Prints one line an implementation: seconds, rows/s, FLOP/s, and how much faster ours is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default="two_tower", choices=tuple(SYSTEMS))
    parser.add_argument("--size", default="base", help="base or tiny, of unimed also half")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--implementation", default="", help="of attention, where a system lets one choose; xla otherwise"
    )
    parser.add_argument("--remat", default="none")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="also PyTorch with torch.compile")
    options = parser.parse_args()
    if options.size not in (sizes := SYSTEMS[options.system].SIZES):
        parser.error(f"--size {options.size}: {options.system} has {', '.join(sizes)}")
    system, batch, model, inputs = pair(options)
    mine, flops = ours(system, batch)
    steps = {"ours": mine}
    for name, compiled in (("PyTorch", False), ("PyTorch, compiled", True)):
        if options.compile or not compiled:
            steps[name] = theirs(model(), inputs, options.dtype, compiled=compiled)
    device = jax.devices()[0].device_kind
    print(f"{device}, {os.cpu_count()} cores, {platform.machine()}; jax {jax.__version__}, torch {torch.__version__},")
    print(
        f"transformers {transformers.__version__}; {options.system} {options.size}, batch {options.batch}, {options.dtype}"
    )
    found = interleaved(steps, options.repeats)
    print(f"{'':20}{'seconds':>9}{'CPU s':>9}{'rows/s':>9}{'TFLOP/s':>9}   ours is so many times as fast, by CPU s")
    for name, (seconds, cpu) in found.items():
        rate = f"{options.batch / seconds:9.2f}{flops / seconds / 1e12:9.3f}"
        ratios = f"{seconds / found['ours'][0]:8.2f}, {cpu / found['ours'][1]:.2f}"
        print(f"{name:20}{seconds:9.3f}{cpu:9.3f}{rate}{ratios}")


if __name__ == "__main__":
    main()
