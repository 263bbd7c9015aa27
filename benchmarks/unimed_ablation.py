"""UniMed's ablation: the same run with one part left out at a time, over seeds; finished points are not run again.

    python -m benchmarks.unimed_ablation --data data --runs runs/ablation --seeds 0 1 2
    python -m benchmarks.unimed_ablation --data data --runs runs/ablation --only full no-composed --set steps=500

Every point is an ordinary training run of configs/pretrain/unimed.py, scored on the test splits by its decomposed decoder where it
has one, else by the composed one. A stopped run goes on from its last checkpoint. Points are kept in
docs/results/unimed_ablation.csv; the table at the end gives mean and standard deviation over seeds.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections

from benchmarks import points
from benchmarks.results_table import append, rows
from configs.pretrain.unimed import alone
from launch.train import DEFAULTS, train_config
from unimedvlp import config as configs

ALONE = ("cells", "lungs", "vessels", "labels")  # entries of data.train and of evals
POINTS: Mapping[str, Sequence[str]] = {
    "full": (),
    "no-composed": ("system.model.composed=False",),
    "no-decomposed": ("system.model.decomposed=False",),
    "no-unsupervised": ("system.unsupervised=none",),
    "two-stage": (),
    "image-memory": ("system.model.memory=image",),
    "query-memory": ("system.model.memory=queries",),
    **{f"only-{name}": ("system.unsupervised=none",) for name in ALONE},
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the points that are missing and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.unimed_ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", default="configs/pretrain/unimed.py:tiny")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/unimed_ablation"), help="where the runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(POINTS), choices=list(POINTS), metavar="POINT")
    parser.add_argument("--levels", nargs="+", default=points.LEADS, choices=points.LEADS, help="what is scored")
    parser.add_argument("--split", default="test")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of every point's config"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results/unimed_ablation.csv"))
    options = parser.parse_args(argv)
    for seed in options.seeds:
        for point in options.only:
            config = point_config(options.config, point, seed, options.set)
            config.evals = {name: entry for name, entry in config.evals.items() if name in options.levels}
            if not config.evals:
                parser.error(f"--levels {' '.join(options.levels)} leaves nothing to score of {point}")
            if config.best.partition("/")[0] not in config.evals:
                first = next(iter(config.evals))
                config.best = f"{first}/{points.LEADS[first]}"
            key = points.row(point, config)
            if points.known(key, rows(options.out)):
                continue
            scores = run_point(config, point, options.runs / f"{point}-{seed}", options.data, options.split)
            append(options.out, key | {name: f"{value:.4f}" for name, value in scores.items()}, points.COLUMNS)
    print(points.table(rows(options.out)))


def point_config(spec: str, point: str, seed: int, overrides: Sequence[str]) -> ml_collections.ConfigDict:
    """The config of one point."""
    config = ml_collections.ConfigDict(DEFAULTS | dict(configs.load(spec)))
    decoders = {"no-composed": ("decomposed",), "no-decomposed": ("composed",)}.get(point, ("decomposed",))
    if point.startswith("only-"):
        alone(config, point.removeprefix("only-"))
    for entry in config.evals.values():
        entry.decoders = decoders
    configs.override(config, [f"seed={seed}", *POINTS[point], *overrides])
    return config


def run_point(config: ml_collections.ConfigDict, point: str, workdir: Path, data: Path, split: str) -> dict[str, float]:
    """Train a point and score it. In two stages, a third of the steps sees images only."""
    if point != "two-stage":
        return points.score(config, workdir, data, split)
    first = config.copy_and_resolve_references()
    first.update({"best": "", "steps": config.steps // 3, "evaluate_every": 0})
    first.evals = {}
    configs.override(first, ["system.supervised=False"])
    train_config(first, workdir / "first", data)
    config.update({"steps": config.steps - first.steps, "start_from": str(workdir / "first")})
    configs.override(config, ["system.unsupervised=none"])
    return points.score(config, workdir / "second", data, split)


if __name__ == "__main__":
    main()
