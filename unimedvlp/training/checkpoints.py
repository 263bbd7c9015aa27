"""Checkpoints of a run: the newest few to resume from, and the best parameters by a validation metric.

    workdir/checkpoints/<step>/{params, ema, optimizer, progress}     workdir/best/<step>/{params, metrics}

Orbax writes each step under a temporary name and renames it when it is whole, so a killed process leaves nothing that
looks finished; what it leaves is removed at the next start. The data position is the step.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from unimedvlp.errors import UserError
from unimedvlp.parallel.multihost import barrier, process_zero
from unimedvlp.training import trees
from unimedvlp.training.state import TrainState

log = logging.getLogger(__name__)
ITEMS = ("params", "ema", "optimizer", "progress")


class Checkpoints:
    """Saves and restores `TrainState`s of one workdir; use as a context manager, whose end waits for open writes.

    Args:
      workdir: the run's folder.
      keep: how many of the newest checkpoints stay.
      best_mode: "max" or "min", what is better for the metric of `save_best`.
    """

    def __init__(self, workdir: Path | str, *, keep: int = 2, best_mode: str = "max"):
        self.workdir, self.best_mode = Path(workdir).absolute(), best_mode
        with _disk_errors(self.workdir):
            self.newest = _manager(self.workdir / "checkpoints", max_to_keep=keep)
            self.best = _manager(self.workdir / "best", max_to_keep=1, best_fn=_rank)

    def save(self, step: int, state: TrainState) -> None:
        """Writes the state in the background (it is copied first, so it may be donated). A step is saved only once."""
        if step in self.newest.all_steps():
            return
        items = {name: ocp.args.PyTreeSave(item) for name, item in _pack(state).items()}
        with _disk_errors(self.newest.directory):
            self.newest.save(step, args=ocp.args.Composite(**items))

    def save_best(self, step: int, params: dict, value: float) -> bool:
        """Keeps `params` as the best if `value` beats the best so far; a value that is not finite never does."""
        held = self.best_so_far()
        metrics = {"value": float(value), "mode": self.best_mode}
        if not math.isfinite(value) or (held and _rank(metrics) <= _rank(metrics | {"value": held[1]})):
            return False
        with _disk_errors(self.best.directory):
            if step in self.best.all_steps():
                self.best.delete(step)
            args = ocp.args.Composite(params=ocp.args.PyTreeSave(params))
            self.best.save(step, args=args, metrics=metrics, force=True)
        return True

    def best_so_far(self) -> tuple[int, float] | None:
        """(step, value) of the best parameters, once they are on disk."""
        with _disk_errors(self.best.directory):
            self.best.wait_until_finished()
        step = self.best.best_step()
        return None if step is None else (step, self.best.metrics(step)["value"])

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint."""
        return self.newest.latest_step()

    def restore(self, abstract: TrainState, step: int | None = None) -> TrainState | None:
        """The newest readable state (or that of `step`), laid out as `abstract` says; None if there is none yet.

        Damaged checkpoints are moved to `workdir/damaged` once an older one was read in their place.

        Raises:
          UserError: for a checkpoint of another architecture or optimiser, or if none of them can be read.
        """
        steps = sorted(self.newest.all_steps(), reverse=True) if step is None else [step]
        damaged: list[int] = []
        for candidate in steps:
            try:
                items = _read(self.newest, candidate, _pack(abstract))
            except (UserError, jax.errors.JaxRuntimeError):
                raise
            except Exception as error:  # Orbax has no error class of its own: damaged data raise anything
                path = self.newest.directory / str(candidate)
                log.warning("checkpoint %s is damaged and not used: %s", path, _reason(error))
                damaged.append(candidate)
                continue
            self._set_aside(damaged)
            return _unpack(items, abstract)
        if damaged:
            raise UserError(
                f"{self.newest.directory}: no readable checkpoint (damaged: {', '.join(map(str, damaged))}); "
                "restore one from a backup, or delete the folder to start again"
            )
        return None

    def wait(self) -> None:
        """Returns when everything saved so far is on disk."""
        for manager in (self.newest, self.best):
            with _disk_errors(manager.directory):
                manager.wait_until_finished()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        # An error already under way is the one to report; a second one from an unfinished write would hide it.
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.wait()
        for manager in (self.newest, self.best):
            with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
                manager.close()

    def _set_aside(self, steps: list[int]) -> None:
        if steps and process_zero():
            for step in steps:
                target = self.workdir / "damaged" / str(step)
                shutil.rmtree(target, ignore_errors=True)
                target.parent.mkdir(exist_ok=True)
                (Path(self.newest.directory) / str(step)).rename(target)
        if steps:
            barrier(f"damaged checkpoints {steps} set aside")
            self.newest.reload()


def load_params(workdir: Path | str, which: str = "best", abstract: dict | None = None) -> dict:
    """Parameters for evaluation: the best, or those of the newest checkpoint (averaged where the run averages).

    Args:
      which: "best" or "newest".
      abstract: expected tree of ShapeDtypeStructs, checked; its shardings are used, the default is one local device.

    Raises:
      UserError: if there is none, it cannot be read, or it does not have the shapes of `abstract`.
    """
    directory = Path(workdir).absolute() / ("best" if which == "best" else "checkpoints")
    names = ("params",) if which == "best" else ("params", "ema")
    if not directory.is_dir():
        raise UserError(f"{workdir}: no trained model here ({directory.name}/ is missing); give a --workdir of `train`")
    options = ocp.CheckpointManagerOptions(create=False, best_fn=_rank if which == "best" else None)
    with ocp.CheckpointManager(directory, options=options, item_handlers=_handlers()) as manager:
        step = manager.best_step() if which == "best" else manager.latest_step()
        if step is None:
            raise UserError(
                f"{directory}: no finished checkpoint yet; train longer or choose the other of best, newest"
            )
        try:
            saved = manager.item_metadata(step)
            like = {name: saved[name].tree for name in names if name in saved}
            if abstract is not None:
                _compare({"params": abstract}, {"params": like["params"]}, directory / str(step))
            where = trees.flat({} if abstract is None else abstract)
            wanted = {name: trees.unflat(_placed(tree, where), tree) for name, tree in like.items()}
            items = _read(manager, step, wanted)
        except (UserError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:  # as in `restore`
            raise UserError(
                f"{directory / str(step)} is damaged: {_reason(error)}; choose the other of best, newest, or restore it "
                "from a backup"
            ) from error
    return trees.override(items["params"], items["ema"]) if "ema" in items else items["params"]


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _placed(saved: Any, where: dict[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    here = SingleDeviceSharding(jax.local_devices()[0])

    def sharding(path: str) -> Any:
        return getattr(where.get(path), "sharding", None) or here

    leaves = trees.flat(saved).items()
    return {path: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding(path)) for path, x in leaves}


def _pack(state: TrainState) -> dict[str, Any]:
    items = {
        "params": state.params,
        "optimizer": trees.flat(state.opt_state),
        "progress": {"step": state.step, "skipped": state.skipped, "rng": state.rng},
    }
    return items if state.ema is None else items | {"ema": state.ema}


def _unpack(items: dict[str, Any], like: TrainState) -> TrainState:
    opt_state = trees.unflat(items["optimizer"], like.opt_state)
    return TrainState(params=items["params"], opt_state=opt_state, ema=items.get("ema"), **items["progress"])


def _read(manager: ocp.CheckpointManager, step: int, wanted: dict[str, Any]) -> dict[str, Any]:
    """Compares shapes, then restores the items into the shardings of `wanted`."""
    saved = manager.item_metadata(step)
    missing = {"params", "optimizer", "progress"} & set(wanted) - set(saved.keys())
    if missing:
        raise FileNotFoundError(f"{min(missing)} is missing in it")
    _compare(wanted, {name: saved[name].tree for name in saved if name in ITEMS}, Path(manager.directory) / str(step))
    shardings = {name: ocp.checkpoint_utils.construct_restore_args(item) for name, item in wanted.items()}
    args = {name: ocp.args.PyTreeRestore(item, restore_args=shardings[name]) for name, item in wanted.items()}
    restored = manager.restore(step, args=ocp.args.Composite(**args))
    return {name: restored[name] for name in wanted}


def _compare(wanted: dict[str, Any], saved: dict[str, Any], path: Path) -> None:
    """Raises UserError at the first parameter, then the first optimiser entry, that differs in name or shape."""
    for item, cause in (
        ("params", "this checkpoint is of another architecture: parameter"),
        ("ema", "this checkpoint was made with another EMA setting or other frozen parameters: average"),
        ("optimizer", "this checkpoint was made with another optimiser or other frozen parameters: entry"),
    ):
        if item == "ema" and item not in wanted:
            continue  # an average that is no longer wanted is simply not read
        here, there = trees.flat(wanted.get(item, {})), trees.flat(saved.get(item, {}))
        for name in sorted(here.keys() | there.keys()) if item in wanted else ():
            shapes = [list(leaves[name].shape) if name in leaves else "absent" for leaves in (there, here)]
            if shapes[0] != shapes[1]:
                raise UserError(
                    f"{path}: {cause} {name} is {shapes[0]} in the checkpoint and {shapes[1]} in this run; "
                    "use the config beside it, or another workdir"
                )


def _rank(metrics: dict[str, Any]) -> float:
    return metrics["value"] if metrics["mode"] == "max" else -metrics["value"]


def _manager(directory: Path, **options: Any) -> ocp.CheckpointManager:
    if process_zero():
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(left)
    barrier(f"temporary checkpoints removed from {directory}")
    options = ocp.CheckpointManagerOptions(**options)
    return ocp.CheckpointManager(directory, options=options, item_handlers=_handlers())


def _handlers() -> dict[str, ocp.CheckpointHandler]:
    # Weights barely compress, and trying takes six times the CPU of writing them (benchmarks.checkpoint).
    return {name: ocp.PyTreeCheckpointHandler(use_compression=False) for name in ITEMS}


@contextlib.contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    """Turns "no space left", from the operating system or from within TensorStore, into a UserError."""
    try:
        yield
    except Exception as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
        if not full:
            raise
        raise UserError(
            f"{directory}: no space left to save; the previous checkpoint is kept: free some space and "
            "start the same command again"
        ) from error
