"""The ladder of UniDCP's prompts: one pre-training a rung and seed, scored on tasks that lack a modality. Restartable.

python -m benchmarks.unidcp_ladder --data data --runs runs/ladder --out docs/results/unidcp_ladder.csv
python -m benchmarks.unidcp_ladder ... --rungs A1 A7 --seeds 0 --set steps=200

A point is its first six columns; points in the table are skipped, and a point that was interrupted goes on from its
checkpoint. Each is pre-trained with the core set of configs/pretrain/unidcp.py (no masked image, which no prompt
is needed for; rung "scratch": not at all), then for `--finetune` steps on tasks
that give the encoder one modality only (findings and reports from images, impressions from texts), and is scored on the test
split: retrieval of the pre-trained weights, which compares images alone with texts alone, and the tasks.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from benchmarks.points import known
from benchmarks.results_table import append, rows
from configs.unidcp_parts import RUNGS, TAUGHT, evaluated, run
from launch.assemble import Run, placed
from launch.main import run as command
from launch.train import DEFAULTS, train_config
from unimedvlp import config as configs
from unimedvlp.training.checkpoints import load_params
from unimedvlp.training.metrics_file import read_metrics

SCRATCH = "scratch"
PATHS = {"synthetic": "synthetic/by-patient/1.0.0", "iu_xray": "iu_xray/r2gen/1.0.0"}
CORE = ("system.weights.mim=0.0", "system.weights.umim=0.0")
TASKS: dict[str, dict[str, Any]] = {"findings": {}, "report": {"clean": "r2gen"}, "summarise": {}}
STATISTICS = ("prompt_agreement", "prompt_usage", "prompt_norm_image", "prompt_norm_text", "prompt_refinement")
SCORES = (
    "retrieve/image_to_text_r5", "retrieve/text_to_image_r5", "findings/auroc_macro", "report/cider", "report/f1_micro",
    "summarise/rouge_l",
)  # fmt: skip
COLUMNS = ("data", "steps", "batch", "finetune", "rung", "seed", *SCORES, *STATISTICS)


def main(argv: list[str]) -> int:
    """Run the points that the table lacks, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--set-name", default="synthetic", choices=PATHS, help="which of them")
    parser.add_argument("--runs", type=Path, default=Path("runs/unidcp_ladder"), help="working directories")
    parser.add_argument("--out", type=Path, default=Path("docs/results/unidcp_ladder.csv"), help="table of the points")
    parser.add_argument("--rungs", nargs="+", default=[SCRATCH, *RUNGS], choices=[SCRATCH, *RUNGS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--finetune", type=int, default=400, help="steps on the tasks")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of the pre-training")
    options = parser.parse_args(argv)
    for seed in options.seeds:
        for rung in options.rungs:
            config = pretraining(options.set_name, rung, seed, options.set)
            found = {
                "data": options.set_name,
                "steps": config.steps,
                "batch": config.batch,
                "finetune": options.finetune,
            }
            key = {name: str(value) for name, value in (found | {"rung": rung, "seed": seed}).items()}
            if known(key, rows(options.out)):
                print("finished:", *key.values())
                continue
            folder = options.runs / "-".join(key.values())
            scores = point(config, folder, options.data, PATHS[options.set_name], rung, options.finetune)
            append(options.out, key | {name: f"{value:.4f}" for name, value in scores.items()}, COLUMNS)
    return 0


def pretraining(data: str, rung: str, seed: int, overrides: list[str]) -> ConfigDict:
    """The pre-training of one point; "scratch" has the model of A7."""
    rung = "A7" if rung == SCRATCH else rung
    config = ConfigDict(DEFAULTS | dict(configs.load(f"configs/pretrain/unidcp.py:tiny,{data},{rung}")))
    configs.override(config, [f"seed={seed}", "evaluate_every=0", *CORE, *overrides])
    return config


def point(config: ConfigDict, folder: Path, data: Path, path: str, rung: str, steps: int) -> dict[str, float]:
    """Train and score one point: {name of `SCORES` and `STATISTICS`: value}, those that the rung has."""
    tuned = tasks_of(path, "A7" if rung == SCRATCH else rung, steps, int(config.seed))
    scores: dict[str, float] = {}
    if rung != SCRATCH:
        train_config(config, folder / "pretrain", data)
        scores |= scored(folder / "pretrain", data)
        last = read_metrics(folder / "pretrain")[int(config.steps)]
        scores |= {name: last[name] for name in STATISTICS if name in last}
        tuned.start_from = str(folder / "pretrain")
    train_config(tuned, folder / "tasks", data)
    return scores | scored(folder / "tasks", data)


def tasks_of(path: str, rung: str, steps: int, seed: int) -> ConfigDict:
    """The fine-tuning of one point: images alone and texts alone."""
    train = {
        name: {
            "path": path,
            "split": "train",
            "tasks": {name: task},
            "weight": 1.0,
            "pack": 8 if name == "findings" else 1,
        }
        for name, task in TASKS.items()
    }
    evals = {name: evaluated(path, name, task) for name, task in TASKS.items()}
    lengths = {"text": 96, "prompt": 6, "response": 96}
    config = run(
        "tiny", train, evals, TAUGHT, best="report/cider", rung=rung, steps=steps, learning_rate=5e-4, **lengths
    )
    config.seed, config.evaluate_every = seed, 0
    return ConfigDict(DEFAULTS | dict(config))


def scored(workdir: Path, data: Path) -> dict[str, float]:
    """`SCORES` of every entry of `evals` on the test split, newest weights."""
    parts = Run.load(workdir, data)
    params = placed(parts, load_params(workdir, "newest"))
    found: dict[str, float] = {}
    for name in parts.config.evals:
        evaluator = parts.evaluator(name, "test", full=True)
        found |= {f"{evaluator.task.name}/{metric}": value for metric, value in evaluator.headline(params).items()}
    return {name: found[name] for name in SCORES if name in found}


if __name__ == "__main__":
    sys.exit(command(main))
