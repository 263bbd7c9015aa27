"""`python tests/objectives/ring_runs.py OUT`: the contrastive losses on 8 devices under several meshes, as OUT.npz."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from unimedvlp.objectives import contrast, ring_contrast
from unimedvlp.parallel.mesh import AXES, BATCH_AXES, make_mesh
from unimedvlp.parallel.rules import activate

MESHES = {"data": {"data": 8}, "fsdp": {"fsdp": 8}, "mixed": {"replica": 2, "data": 1, "fsdp": 2, "tensor": 2}}
LOSSES = ("info_nce", "sigmoid_loss")
LOCAL, DEVICES = (64, 128), 8  # rows a device, for the memory


def inputs(batch=32, width=16):
    """Embeddings, some of which occur twice, and some of which have no pair."""
    a, b = (contrast.unit(jax.random.normal(jax.random.key(i), (batch, width))) for i in range(2))
    groups, valid = np.arange(batch) // 2 * (np.arange(batch) % 3 > 0), np.arange(batch) % 5 > 0
    return a, b, jnp.float32(14), jnp.float32(-3), jnp.asarray(groups), jnp.asarray(valid)


def gradients(module, name, **options):
    """A function of `inputs` that gives the loss, its metrics and the gradients of a, b, scale and bias."""

    def loss(a, b, scale, bias, groups, valid):
        if name == "info_nce":
            return module.info_nce(a, b, scale, groups=groups, valid=valid, **options)
        return module.sigmoid_loss(a, b, scale, bias, groups=groups, valid=valid, **options), {}

    return jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True)


def on_mesh(mesh, module, name, **options):
    """The same, jitted with the batch split over the mesh, which is active inside."""
    split = NamedSharding(mesh, PartitionSpec(BATCH_AXES))

    def run(*args):
        with activate(mesh):
            return gradients(module, name, **options)(*args)

    return jax.jit(run, in_shardings=(split, split, None, None, split, split))


def explicit(name):
    """The ring on a mesh of explicit axes, whose shardings are part of the types."""
    mesh = jax.make_mesh((1, 4, 2, 1, 1), AXES, axis_types=(AxisType.Explicit,) * 5)
    split, same = NamedSharding(mesh, PartitionSpec(BATCH_AXES)), NamedSharding(mesh, PartitionSpec())
    with jax.set_mesh(mesh):
        args = [jax.device_put(x, split if x.ndim else same) for x in inputs()]
        return jax.jit(gradients(ring_contrast, name, tile=2))(*args)


def memory(module, rows, **options):
    """(temporary bytes a device, elements of the largest array of its program) of InfoNCE with `rows` a device."""
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs(rows * DEVICES)]
    compiled = on_mesh(make_mesh(MESHES["data"]), module, "info_nce", **options).lower(*shapes).compile()
    arrays = re.findall(r"(?:f32|s32|pred)\[([\d,]+)\]", compiled.as_text())
    largest = max(int(np.prod([int(n) for n in sizes.split(",")])) for sizes in arrays)
    return compiled.memory_analysis().temp_size_in_bytes, largest


def main(out):
    """Writes one array per loss, mesh and result, and the memory."""
    results = {}
    for name in LOSSES:
        runs = {mesh: on_mesh(make_mesh(spec), ring_contrast, name, tile=2)(*inputs()) for mesh, spec in MESHES.items()}
        runs["explicit"] = explicit(name)
        for mesh, run in runs.items():
            results |= {f"{name}/{mesh}/{i}": leaf for i, leaf in enumerate(jax.tree.leaves(run))}
    results["memory/ring"] = [memory(ring_contrast, rows, tile=16) for rows in LOCAL]
    results["memory/dense"] = [memory(contrast, rows) for rows in LOCAL]
    np.savez(out, **results)


if __name__ == "__main__":
    main(sys.argv[1])
