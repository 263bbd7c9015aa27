"""`python tests/systems/unimed_runs.py OUT`: two steps of the small UniMed on 8 devices, as JSON."""

import json
import sys
from pathlib import Path

import jax
import unimed_case

from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.training import optimizers
from unimedvlp.training.state import abstract_state, create
from unimedvlp.training.step import make_train_step

MESHES = {"mixed": {"data": 2, "fsdp": 2, "tensor": 2}}
OPTIMIZER = {"learning_rate": 1e-3, "warmup": 0}


def steps(mesh):
    """[loss and gradient norm of each step]"""
    system, batch = unimed_case.build(unsupervised="masked_image"), unimed_case.make_batch(8)
    optimizer = optimizers.make(OPTIMIZER, 4)
    abstract = abstract_state(system, optimizer, batch, mesh, ema=False)
    state = create(system, optimizer, jax.random.key(0), batch, mesh)
    step = make_train_step(system, optimizer, abstract, mesh)
    rows = []
    for _ in range(2):
        state, metrics = step(state, global_batch(batch, mesh))
        rows.append([float(metrics["loss"]), float(metrics["grad_norm"])])
    return rows


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({name: steps(make_mesh(spec)) for name, spec in MESHES.items()}))
