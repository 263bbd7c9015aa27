"""Beginning a run with the weights of another one."""

from __future__ import annotations

from pathlib import Path

import jax

from unimedvlp.errors import UserError
from unimedvlp.training import trees
from unimedvlp.training.checkpoints import load_params
from unimedvlp.training.state import TrainState


def warm_start(state: TrainState, workdir: Path | str) -> TrainState:
    """A fresh state whose parameters, and their average, are those of a trained working directory: the best, or the newest
    where no metric chose a best.

    Parameters that the other model lacks, or has in another shape, stay as they are. Raises UserError if nothing fits.
    """
    chosen = any(entry.name.isdigit() for entry in Path(workdir).glob("best/*"))
    trained = trees.flat(load_params(workdir, "best" if chosen else "newest"))
    taken = 0

    def replaced(tree: dict) -> dict:
        nonlocal taken
        leaves = trees.flat(tree)
        fitting = {path for path, x in leaves.items() if path in trained and trained[path].shape == x.shape}
        taken += len(fitting)
        placed = {p: jax.device_put(trained[p].astype(x.dtype), x.sharding) for p, x in leaves.items() if p in fitting}
        return trees.unflat(leaves | placed, tree)

    state = state.replace(params=replaced(state.params), ema=None if state.ema is None else replaced(state.ema))
    if not taken:
        raise UserError(f"start_from {workdir}: none of its parameters fits this model")
    return state
