"""Beginning a run with the weights of another one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.parallel.multihost import process_zero
from unimedvlp.training import trees
from unimedvlp.training.checkpoints import load_params
from unimedvlp.training.state import TrainState


def warm_start(state: TrainState, workdir: Path | str, without: Iterable[str] = ()) -> TrainState:
    """A fresh state whose parameters, and their average, are those of a trained working directory: the best, or the newest
    where no metric chose a best.

    Parameters that the other model lacks, or has in another shape, stay as they are, and so do those whose whole path one of the
    regular expressions `without` matches; one printed line counts and names them. Raises UserError if nothing fits, or
    an expression matches nothing.
    """
    chosen = any(entry.name.isdigit() for entry in Path(workdir).glob("best/*"))
    trained = trees.flat(load_params(workdir, "best" if chosen else "newest"))
    ours = trees.flat(state.params)
    try:
        matched = {pattern: {path for path in ours if re.fullmatch(pattern, path)} for pattern in without}
    except re.error as error:
        raise UserError(f"start_without: {error.pattern!r} is no regular expression: {error}") from None
    if idle := [pattern for pattern, paths in matched.items() if not paths]:
        raise UserError(
            f"start_without: no parameter matches {idle}; they begin with {', '.join(sorted(_first(ours)))}"
        )
    left = set().union(*matched.values())
    fitting = {path for path, x in ours.items() if path in trained and trained[path].shape == x.shape} - left
    if not fitting:
        raise UserError(f"start_from {workdir}: none of its parameters fits this model")
    if process_zero():
        print(f"start_from {workdir}: {_said(ours, trained, fitting, left)}", flush=True)

    def replaced(tree: dict) -> dict:
        leaves = trees.flat(tree)
        placed = {p: jax.device_put(trained[p].astype(x.dtype), x.sharding) for p, x in leaves.items() if p in fitting}
        owned = jax.tree.map(jnp.copy, placed)  # parameters and average are donated, so they must not share memory
        return trees.unflat(leaves | owned, tree)

    return state.replace(params=replaced(state.params), ema=None if state.ema is None else replaced(state.ema))


def _first(paths: Iterable[str]) -> set[str]:
    return {path.partition("/")[0] for path in paths}


def _said(ours: dict[str, jax.Array], trained: dict[str, jax.Array], fitting: set[str], left: set[str]) -> str:
    """How many parameters are taken, and which of ours are not."""
    other = sorted({*ours} & {*trained} - fitting - left)
    shapes = [f"{p} {trained[p].shape} there, {ours[p].shape} here" for p in other]
    lacking = sorted({*ours} - {*trained} - left)
    parts = [f"{len(fitting)} of {len(ours)} parameters taken"]
    for names, why in ((shapes, "of another shape"), (lacking, "that it lacks")):
        if names:
            parts.append(f"{len(names)} {why} keep their initial values: {', '.join(names)}")
    if left:
        parts.append(f"{len(left)} of {', '.join(sorted(_first(left)))} drawn anew")
    return "; ".join(parts)
