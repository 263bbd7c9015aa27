"""`python tests/training/one_of_two.py WORKDIR`: one process of two; coordinator and number come from the environment."""

import sys

import jax
import numpy as np
import tiny_system

from unimedvlp.parallel import multihost
from unimedvlp.parallel.mesh import make_mesh


def main(workdir):
    """Trains with the global batch split over the processes, then checks the talk between them."""
    multihost.initialize()
    mesh = make_mesh({"data": -1})
    index, count = multihost.batch_share(mesh)
    assert (index, count) == (jax.process_index(), 2)

    def local(step):
        rows = slice(index * tiny_system.BATCH // count, (index + 1) * tiny_system.BATCH // count)
        return {name: x[rows] for name, x in tiny_system.batch_at(step).items()}

    state = tiny_system.run(workdir, steps=6, mesh=mesh, batches=local)
    again = tiny_system.run(workdir, steps=6, mesh=mesh, batches=local)
    assert tiny_system.same_bits(state, again)
    assert multihost.broadcast_from_zero(np.int32(jax.process_index() + 5)) == 5
    assert multihost.votes(jax.process_index() == 1, True).tolist() == [[False, True], [True, True]]
    multihost.barrier("both are here", timeout_s=60)
    if multihost.process_zero():
        try:
            multihost.barrier("only one is here", timeout_s=0.5)
        except jax.errors.JaxRuntimeError as error:
            print("barrier ended:", str(error).splitlines()[0])
    multihost.barrier("end", timeout_s=60)


if __name__ == "__main__":
    main(sys.argv[1])
