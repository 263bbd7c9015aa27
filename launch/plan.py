"""Say what a config's training step will cost on a TPU topology, by compiling it with the TPU compiler: no TPU is needed."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from launch.abstract import train_step
from launch.main import run
from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import BATCH_AXES
from unimedvlp.plan import hardware
from unimedvlp.plan.estimate import DoesNotFit, Plan, estimate
from unimedvlp.plan.gpu import measure
from unimedvlp.plan.search import largest
from unimedvlp.plan.tpu import mesh_of

EXAMPLE = """example:
  unimedvlp plan --config configs/pretrain/baseline_base.py --topology v5e:16x16 --batch-per-chip 128
  unimedvlp plan --config configs/pretrain/baseline_base.py --topology v5p:4x4x4 --slices 2 --mesh replica=2,data=-1
  unimedvlp plan --config configs/pretrain/baseline_base.py --topology v5e:2x4 --mesh data=-1 --mesh fsdp=-1 --largest
  unimedvlp plan --config configs/pretrain/baseline_base.py --gpu"""


def main(argv: list[str]) -> int:
    """Plan; a table on the terminal, or JSON. Status 2 if no mesh fits."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp plan", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="file with get_config(), as path.py or path.py:argument")
    parser.add_argument(
        "--topology", help=f"chip and shape of a slice, as v5e:16x16; chips: {', '.join(hardware.CHIPS)}"
    )
    parser.add_argument(
        "--slices", type=int, default=1, help="number of such slices; the mesh's replica axis spans them"
    )
    parser.add_argument("--batch-per-chip", type=int, help="rows a chip, instead of the config's global batch")
    parser.add_argument(
        "--mesh", action="append", metavar="AXIS=SIZE,...", help="instead of the config's; several are compared"
    )
    parser.add_argument(
        "--largest", action="store_true", help="search the largest batch that fits (several compilations)"
    )
    parser.add_argument("--gpu", action="store_true", help="measure on the GPUs at hand instead")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of the config")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    config = configs.load(options.config)
    configs.override(config, options.set)
    if options.gpu:
        found = measure(lambda mesh, batch: train_step(config, mesh, batch), config.mesh, config.batch)
        print(json.dumps(found, indent=2) if options.json else "\n".join(f"{key:<20}{found[key]}" for key in found))
        return 0
    if not options.topology:
        raise UserError("plan needs --topology, as v5e:16x16, or --gpu")
    topology = hardware.parse(options.topology, options.slices)
    size = config.batch if options.batch_per_chip is None else options.batch_per_chip * topology.chips
    meshes = [_mesh(text) for text in options.mesh] if options.mesh else [dict(config.mesh)]
    plans, lacking = [], []
    for spec in meshes:
        make = _planner(config, topology, spec)
        try:
            plans.append(largest(make, topology.chips * config.accumulate) if options.largest else make(size))
        except DoesNotFit as error:
            lacking.append(_advice(make, spec, size, topology, config.accumulate, error))
    plans.sort(key=lambda plan: plan.step_s / plan.global_batch)
    if options.json:
        rows = [plan.as_json() for plan in plans]
        print(json.dumps(rows[0] if len(meshes) == 1 and rows else {"plans": rows, "do_not_fit": lacking}, indent=2))
    elif plans:
        show(plans)
    for line in lacking:
        print(f"unimedvlp: {line}", file=sys.stderr)
    return 0 if plans else 2


def show(plans: list[Plan]) -> None:
    """The plans as tables, best first."""
    best = plans[0]
    table = Table(box=None, title_justify="left", title=f"one step on {best.topology}, {best.topology.chips} chips"
                  + (", best mesh first" if len(plans) > 1 else ""))  # fmt: skip
    table.add_column("mesh")
    for name in ("batch", "GiB", "TFLOP", "ms", "MFU", "ms exposed", "MFU exposed"):
        table.add_column(name, justify="right")
    for plan in plans:
        whole = plan.compute_s + plan.collective_s
        table.add_row(
            " ".join(f"{axis}={size}" for axis, size in plan.mesh.items() if size > 1) or "one device",
            f"{plan.global_batch}",
            f"{plan.memory['peak']:.2f}",
            f"{plan.flops / plan.topology.chips / 1e12:.2f}",
            f"{plan.step_s * 1e3:.1f}",
            f"{plan.mfu(plan.step_s):.1%}",
            f"{whole * 1e3:.1f}",
            f"{plan.mfu(whole):.1%}",
        )
    Console().print(table)
    print("GiB and TFLOP of a chip; communication is hidden behind computation, or exposed: not at all.")
    classes = ", ".join(f"{name} {gib:.2f}" for name, gib in best.memory.items())
    print(f"memory: {classes}, of {best.topology.chip.hbm_gib:g} GiB")
    for kind, row in best.by_kind().items():
        print(
            f"{kind}: {row['count']} of {row['gib']:.3f} GiB together, {row['seconds'] * 1e3:.2f} ms at full bandwidth"
        )
    if best.unknown:
        print(f"{best.unknown} runs of hand-written kernels have no estimate: a step takes longer than this")
    print(
        f"FLOPs of a chip with every loop counted once: {best.counted_once:.4g} by ours (products only), "
        f"{best.compiler_flops:.4g} by the compiler; recomputation makes {best.hardware_flops / best.flops:.2f} of the model's"
    )


def _planner(config: Any, topology: hardware.Topology, spec: dict[str, int]) -> Callable[[int], Plan]:
    mesh = mesh_of(topology, spec)
    ways = config.accumulate
    for axis in BATCH_AXES:
        ways *= mesh.shape[axis]

    def make(size: int) -> Plan:
        if size % ways:
            raise UserError(f"a batch of {size} does not divide into {ways} equal parts; give --batch-per-chip")
        print(f"compiling for {topology}, batch {size} ...", file=sys.stderr)
        return estimate(*train_step(config, mesh, size), topology, dict(mesh.shape))

    return make


def _advice(
    make: Callable[[int], Plan],
    spec: dict[str, int],
    size: int,
    topology: hardware.Topology,
    unit: int,
    error: DoesNotFit,
) -> str:
    """Why a batch does not fit, and the largest half of a half that does."""
    asked = f"mesh {' '.join(f'{axis}={n}' for axis, n in spec.items())}, batch {size}: {error}"
    for less in _halves(size, topology.chips * unit):
        try:
            fits = make(less)
        except DoesNotFit:
            continue
        return f"{asked}; --batch-per-chip {less // topology.chips} fits ({fits.memory['peak']:.2f} GiB)"
    return f"{asked}; no smaller batch fits either: shard the parameters (--mesh fsdp=-1) or take a larger chip"


def _halves(size: int, unit: int) -> Iterator[int]:
    while (size := size // 2 // unit * unit) >= unit:
        yield size


def _mesh(text: str) -> dict[str, int]:
    try:
        return {axis.strip(): int(size) for axis, size in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise UserError(f"--mesh {text}: expected AXIS=SIZE,..., as data=16,fsdp=16") from None


if __name__ == "__main__":
    sys.exit(run(main))
