"""`python tests/systems/sharded_systems.py OUT NAME MESH...`: a system's training step on 8 devices, as JSON."""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from unimedvlp import systems
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.parallel.multihost import global_batch
from unimedvlp.training import optimizers, trees
from unimedvlp.training.state import abstract_state, create
from unimedvlp.training.step import make_train_step

MESHES = {
    "data": {"data": 8},
    "fsdp": {"fsdp": 8},
    "tensor": {"data": 4, "tensor": 2},
    "sequence": {"data": 4, "sequence": 2},
    "slices": {"replica": 2, "data": 2, "fsdp": 2},
    "mixed": {"fsdp": 2, "tensor": 2, "sequence": 2},
}
OPTIMIZER = {"learning_rate": 1e-3, "schedule": "constant", "eps": 1e-3}
ROWS, STEPS = 8, 2


def baseline():
    """The baseline, taught the responses as they stand."""
    import test_baseline

    batch = test_baseline.make_batch(ROWS)
    system = systems.build(test_baseline.CONFIG, test_baseline.SPACE, image_size=32, views=2)
    return system, batch | {"target": batch["response"]}


def codes():
    """The autoencoder of pictures."""
    import test_codes

    system = systems.build({"name": "codes", "of": "images", "model": test_codes.TINY}, None, image_size=16, views=2)
    return system, test_codes.make_batch(ROWS)


def unidcp():
    """UniDCP with every term."""
    import unidcp_case

    return unidcp_case.system(), unidcp_case.batch_at(0, ROWS)


def unimed():
    """UniMed with images of every kind."""
    import unimed_case

    return unimed_case.build(), unimed_case.make_batch(ROWS)


CASES = {"baseline": baseline, "codes": codes, "unidcp": unidcp, "unimed": unimed}  # each: a small system and its batch


def steps(system, batch, mesh, begin=None):
    """(initial state on the host, [loss and gradient norm of each step], share of the parameters' bytes a device holds)"""
    optimizer = optimizers.make(OPTIMIZER, 10)
    abstract = abstract_state(system, optimizer, batch, mesh, ema=True)
    if begin is None:
        begin = jax.device_get(create(system, optimizer, jax.random.key(0), batch, mesh, ema=True))
    state = jax.tree.map(lambda x, like: jax.device_put(x, like.sharding), begin, abstract)
    params = trees.flat(abstract.params).values()
    held = sum(np.prod(x.sharding.shard_shape(x.shape)) for x in params) / sum(x.size for x in params)
    step = make_train_step(system, optimizer, abstract, mesh, ema_decay=0.9)
    rows = []
    for _ in range(STEPS):
        state, metrics = step(state, global_batch(batch, mesh))
        rows.append([float(metrics["loss"]), float(metrics["grad_norm"])])
    return begin, rows, float(held)


def main(out, name, *meshes):
    """Writes {mesh: {"rows": ..., "held": ...}} and those of "one" device."""
    system, batch = CASES[name]()
    begin, rows, held = steps(system, batch, make_mesh({"data": 1}, jax.devices()[:1]))
    found = {"one": {"rows": rows, "held": held}}
    for mesh in meshes:
        _, rows, held = steps(system, batch, make_mesh(MESHES[mesh]), begin)
        found[mesh] = {"rows": rows, "held": held}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
