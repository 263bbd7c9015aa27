"""`python tests/training/one_of_several.py WORKDIR`: one process of two or four; the environment says which."""

import functools
import json
import sys

import jax
import numpy as np
import tiny_system

from unimedvlp.parallel import multihost
from unimedvlp.parallel.mesh import make_mesh

MESHES = {2: {"data": 2}, 4: {"replica": 2, "fsdp": 2}}
STEPS, BAD = 6, (4,)  # the update of batch 4 is not finite: all go back together
OPTIONS = {"steps": STEPS, "on_nonfinite": "rollback", "save_every": 3}
GLOBAL_BATCHES = functools.partial(tiny_system.batch_at, bad=BAD)


def shards(state):
    """What this process holds of a state."""
    return [np.asarray(shard.data) for leaf in jax.tree.leaves(state) for shard in leaf.addressable_shards]


def main(workdir):
    """Trains with the global batch split over the processes, then checks the talk between them."""
    multihost.initialize()
    processes = jax.process_count()
    mesh = make_mesh(MESHES[processes])
    index, count = multihost.batch_share(mesh)
    assert (index, count) == (jax.process_index(), processes)

    def local(step):
        rows = slice(index * tiny_system.BATCH // count, (index + 1) * tiny_system.BATCH // count)
        return {name: x[rows] for name, x in GLOBAL_BATCHES(step).items()}

    state = tiny_system.run(workdir, mesh=mesh, batches=local, **OPTIONS)
    again = tiny_system.run(workdir, mesh=mesh, batches=local, **OPTIONS)
    assert all(map(np.array_equal, shards(state), shards(again)))
    print("counts", json.dumps([int(state.step), int(state.skipped)]), flush=True)
    assert multihost.broadcast_from_zero(np.int32(jax.process_index() + 5)) == 5
    asked = multihost.votes(jax.process_index() == 1, True)
    assert asked.tolist() == [[i == 1, True] for i in range(processes)]
    multihost.barrier("all are here", timeout_s=120)
    if multihost.process_zero():
        try:
            multihost.barrier("only one is here", timeout_s=0.5)
        except jax.errors.JaxRuntimeError as error:
            print("barrier ended:", str(error).splitlines()[0])
    multihost.barrier("end", timeout_s=120)


if __name__ == "__main__":
    main(sys.argv[1])
