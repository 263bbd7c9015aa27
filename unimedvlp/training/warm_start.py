"""Beginning a run with the weights of another one."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.parallel.multihost import process_zero
from unimedvlp.training import trees
from unimedvlp.training.checkpoints import load_params
from unimedvlp.training.state import TrainState


def warm_start(state: TrainState, workdir: Path | str) -> TrainState:
    """A fresh state whose parameters, and their average, are those of a trained working directory: the best, or the newest
    where no metric chose a best.

    Parameters that the other model lacks, or has in another shape, stay as they are; one printed line counts and names
    them. Raises UserError if nothing fits.
    """
    chosen = any(entry.name.isdigit() for entry in Path(workdir).glob("best/*"))
    trained = trees.flat(load_params(workdir, "best" if chosen else "newest"))
    ours = trees.flat(state.params)
    fitting = {path for path, x in ours.items() if path in trained and trained[path].shape == x.shape}
    if not fitting:
        raise UserError(f"start_from {workdir}: none of its parameters fits this model")
    if process_zero():
        print(f"start_from {workdir}: {_said(ours, trained, fitting)}", flush=True)

    def replaced(tree: dict) -> dict:
        leaves = trees.flat(tree)
        placed = {p: jax.device_put(trained[p].astype(x.dtype), x.sharding) for p, x in leaves.items() if p in fitting}
        owned = jax.tree.map(jnp.copy, placed)  # parameters and average are donated, so they must not share memory
        return trees.unflat(leaves | owned, tree)

    return state.replace(params=replaced(state.params), ema=None if state.ema is None else replaced(state.ema))


def _said(ours: dict[str, jax.Array], trained: dict[str, jax.Array], fitting: set[str]) -> str:
    """How many parameters are taken, and which of ours are not."""
    shapes = [f"{p} {trained[p].shape} there, {ours[p].shape} here" for p in sorted({*ours} & {*trained} - fitting)]
    lacking = sorted({*ours} - {*trained})
    parts = [f"{len(fitting)} of {len(ours)} parameters taken"]
    for names, why in ((shapes, "of another shape"), (lacking, "that it lacks")):
        if names:
            parts.append(f"{len(names)} {why} keep their initial values: {', '.join(names)}")
    return "; ".join(parts)
