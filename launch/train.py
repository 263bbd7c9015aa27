"""Train a model from a config, or resume it: the same command goes on from the newest checkpoint of its working directory."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from launch.assemble import Run
from launch.main import run
from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.parallel import multihost
from unimedvlp.training.loop import train
from unimedvlp.training.state import TrainState

# What most configs leave out: see `training.loop.train`; `compile_cache` is a folder for compiled steps, "" for none.
DEFAULTS = {
    "save_minutes": 0.0,
    "nonfinite_limit": 10,
    "profile": {"steps": ()},
    "hang_minutes": 30.0,
    "peak_tflops": 0.0,
    "compile_cache": "",
    "start_from": "",
    "start_without": (),
}
EXAMPLE = """example:
  unimedvlp prepare synthetic --out data
  unimedvlp train --config configs/pretrain/baseline_synthetic.py --data data --workdir runs/synthetic
  unimedvlp train --config configs/pretrain/baseline_synthetic.py --data data --workdir runs/short --set steps=200"""


def main(argv: list[str]) -> int:
    """Train; the working directory receives config, token space, checkpoints, metrics.jsonl and TensorBoard files."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp train",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="file with get_config(), as path.py or path.py:argument")
    parser.add_argument("--workdir", required=True, type=Path, help="where everything of this run is kept")
    parser.add_argument("--data", default=Path("data"), type=Path, help="folder of the prepared data sets")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of the config")
    options = parser.parse_args(argv)
    for name, path in (("--workdir", options.workdir), ("--data", options.data)):
        if ":/" in str(path):
            raise UserError(f"{name} {path}: buckets are read and written through a mount (gcsfuse); give its folder")
    multihost.initialize()
    config = ConfigDict(DEFAULTS | dict(configs.load(options.config)))
    configs.override(config, options.set)
    train_config(config, options.workdir, options.data)
    return 0


def train_config(config: Any, workdir: Path, data: Path) -> TrainState:
    """Train what a config describes, from the newest checkpoint of `workdir` if there is one."""
    if config.compile_cache:
        jax.config.update("jax_compilation_cache_dir", config.compile_cache)
    parts = Run.create(config, workdir, data)
    evaluators = {name: parts.evaluator(name) for name in config.evals}

    def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
        scores = {}
        for name, evaluator in evaluators.items():
            found = evaluator.headline(state.evaluation_params)
            scores |= {f"{name}/{metric}": value for metric, value in found.items()}
        return scores

    batches = parts.train_batches()
    try:
        state = train(
            parts.system,
            config.optimizer,
            batches,
            config.steps,
            workdir=workdir,
            mesh=parts.mesh,
            seed=config.seed,
            evaluate=evaluate if evaluators else None,
            eval_every=config.evaluate_every,
            save_every=config.save_every,
            save_minutes=config.save_minutes,
            log_every=config.log_every,
            keep=config.keep,
            best=config.best or None,
            accumulate=config.accumulate,
            ema_decay=config.ema or None,
            on_nonfinite=config.on_nonfinite,
            nonfinite_limit=config.nonfinite_limit,
            profile=config.profile.steps,
            hang_minutes=config.hang_minutes,
            peak_tflops=config.peak_tflops,
            start_from=config.start_from,
            start_without=config.start_without,
        )
    finally:
        batches.close()
    for reason, count in batches.tally.counts.items():
        print(f"input: {count} x {reason}", file=sys.stderr)
    return state


if __name__ == "__main__":
    sys.exit(run(main))
