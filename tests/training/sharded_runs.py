"""`python tests/training/sharded_runs.py OUT`: the tiny system on 8 devices under several meshes, as JSON and a checkpoint."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
from tiny_system import OPTIMIZER, System, batch_at

from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.training import optimizers
from unimedvlp.training.checkpoints import Checkpoints
from unimedvlp.training.state import abstract_state, create
from unimedvlp.training.step import make_train_step

MESHES = {
    "data": {"data": -1},
    "fsdp": {"fsdp": 8},
    "tensor": {"data": 2, "tensor": 4},
    "mixed": {"replica": 2, "fsdp": 2, "tensor": -1},
}
STEPS = 4


def steps(mesh, accumulate=1):
    """(state, [loss and gradient norm of each step])"""
    optimizer = optimizers.make(OPTIMIZER, 12)
    abstract = abstract_state(System(), optimizer, batch_at(0), mesh, ema=True)
    state = create(System(), optimizer, jax.random.key(0), batch_at(0), mesh, ema=True)
    step = make_train_step(System(), optimizer, abstract, mesh, ema_decay=0.9, accumulate=accumulate)
    rows = []
    for i in range(STEPS):
        state, metrics = step(state, global_batch(batch_at(i), mesh))
        rows.append([float(metrics["loss"]), float(metrics["grad_norm"])])
    return state, rows


def main(out):
    """Writes out/rows.json, out/specs.json (of the mixed mesh), a checkpoint of it, and in out/four the same by way of four
    devices."""
    rows = {}
    _, rows["accumulated"] = steps(make_mesh(MESHES["fsdp"]), accumulate=2)
    for name, spec in MESHES.items():
        state, rows[name] = steps(make_mesh(spec))
    leaves = {"params": state.params, "ema": state.ema, "adam": state.opt_state[1].mu}
    specs = {name: list(tree["stack"]["up"]["kernel"].sharding.spec) for name, tree in leaves.items()}
    four = make_mesh({"fsdp": 2, "tensor": 2}, jax.devices()[:4])
    abstract = abstract_state(System(), optimizers.make(OPTIMIZER, 12), batch_at(0), four, ema=True)
    with Checkpoints(out) as checkpoints, Checkpoints(out / "four") as moved:
        checkpoints.save(STEPS, state)
        checkpoints.wait()
        moved.save(STEPS, checkpoints.restore(abstract))
    np.savez(out / "params.npz", up=np.asarray(state.params["stack"]["up"]["kernel"]))
    (out / "rows.json").write_text(json.dumps(rows))
    (out / "specs.json").write_text(json.dumps(specs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
