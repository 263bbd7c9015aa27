"""Transfer of a pre-trained UniMed to a data set it has not seen: zero-shot by class names, and 100 shots over five seeds.

    unimedvlp train --config configs/pretrain/unimed.py:tiny-without-cells --data data --workdir runs/unimed_no_cells
    python -m benchmarks.unimed_transfer --pretrained runs/unimed_no_cells --entry cells --data data --runs runs/transfer

Zero-shot asks the decomposed decoder for the data set's class names, as text; 100-shot is configs/finetune/unimed_100shot.py, and
`scratch` the same training without the pre-trained weights. Points are kept in docs/results/unimed_transfer.csv and not run again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from benchmarks import points
from benchmarks.results_table import append, rows
from launch.train import DEFAULTS
from unimedvlp import config as configs

CONFIG = "configs/finetune/unimed_100shot.py"
KINDS = ("zero-shot", "100-shot", "100-shot scratch")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the points that are missing and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.unimed_transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pretrained", type=Path, required=True, help="working directory of the pre-training")
    parser.add_argument(
        "--entry", default="cells", help="data set: an entry of the pre-training's mixture, or synthetic"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/unimed_transfer"), help="where the runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--split", default="test")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of every point's config"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results/unimed_transfer.csv"))
    options = parser.parse_args(argv)
    for kind in KINDS:
        for seed in options.seeds if kind != "zero-shot" else options.seeds[:1]:
            config = kind_config(kind, options.entry, options.pretrained, seed, options.set)
            key = points.row(f"{options.entry} {kind}", config)
            if points.known(key, rows(options.out)):
                continue
            workdir = options.runs / f"{options.entry}-{kind.replace(' ', '-')}-{seed}"
            scores = points.score(config, workdir, options.data, options.split)
            append(options.out, key | {name: f"{value:.4f}" for name, value in scores.items()}, points.COLUMNS)
    print(points.table(rows(options.out)))


def kind_config(
    kind: str, entry: str, pretrained: Path, seed: int, overrides: Sequence[str]
) -> ml_collections.ConfigDict:
    """The config of one point: zero-shot is a fine-tuning of no steps."""
    config = ml_collections.ConfigDict(DEFAULTS | dict(configs.load(f"{CONFIG}:{entry}")))
    for scored in config.evals.values():
        scored.decoders = ("decomposed",)
    configs.override(config, [f"seed={seed}", *overrides])
    if kind != "100-shot scratch":
        config.start_from = str(pretrained)
    if kind == "zero-shot":
        config.steps = config.optimizer.warmup = 0
        config.start_without = ()
    return config


if __name__ == "__main__":
    main()
