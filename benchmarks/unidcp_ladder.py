"""The ladder of UniDCP's prompts: one pre-training a rung and seed, scored where a modality is missing. Restartable.

python -m benchmarks.unidcp_ladder --data data --runs runs/ladder --out docs/results/unidcp_ladder.csv
python -m benchmarks.unidcp_ladder ... --rungs A1 A7 --seeds 0 --finetune 0 --set steps=200
python -m benchmarks.unidcp_ladder ... --variant slots=16 --set system.prompts.slots=16
python -m benchmarks.unidcp_ladder --table

A point is its first seven columns; points in the table are skipped, and one that was interrupted goes on from its checkpoint.
Each is pre-trained on one view and a short text with what needs prompts on both sides, the contrast of images alone with texts
alone and the terms of the rung ("scratch": not at all), and is scored on the test split by retrieval. With `--finetune` steps it
goes on with tasks that give the encoder one modality only (findings from images, and from texts inference or impressions), and
is scored on these, too. `--set` overrides keys of the pre-training; those of system.model and system.prompts hold for the tasks
as well. `--variant` names such a change in the table. `--table` prints means and deviations over seeds, and draws them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from benchmarks import unidcp_ladder_page as page
from benchmarks.points import known
from benchmarks.results_table import append, rows
from configs.unidcp_parts import RUNGS, TAUGHT, evaluated, run
from data_pipelines.read import PreparedSplit
from launch.assemble import Run, make_samples, placed
from launch.main import run as command
from launch.train import DEFAULTS, train_config
from unimedvlp import config as configs
from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation import retrieval
from unimedvlp.training.metrics_file import read_metrics

SCRATCH = "scratch"
REPORTS = "iu_xray/r2gen/1.0.0"
DATA = {
    "synthetic": ("synthetic/by-patient/1.0.0", ("impression",), 32, {"findings": {}, "infer": {}}),
    "iu_xray": (REPORTS, ("findings", "impression"), 64, {"findings": {}, "summarise": {}}),
}  # path, what is retrieved and its tokens, tasks
CORE = ("mlm", "umlm", "mim", "umim", "itm")  # left out of the ladder: they need no prompt, or one alone
WAYS = ("image_to_text", "text_to_image")
STATISTICS = ("prompt_agreement", "prompt_usage", "prompt_norm_image", "prompt_norm_text", "prompt_refinement")
SCORES = (*page.RECALLS, "findings/auroc_macro", "infer/accuracy", "summarise/rouge_l")
KEY = ("data", "steps", "batch", "finetune", "variant", "rung", "seed")
COLUMNS = (*KEY, *SCORES, *STATISTICS)


def main(argv: list[str]) -> int:
    """Run the points that the table lacks, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--set-name", default="synthetic", choices=DATA, help="which of them")
    parser.add_argument("--runs", type=Path, default=Path("runs/unidcp_ladder"), help="working directories")
    parser.add_argument("--out", type=Path, default=Path("docs/results/unidcp_ladder.csv"), help="table of the points")
    parser.add_argument("--rungs", nargs="+", default=[SCRATCH, *RUNGS], choices=[SCRATCH, *RUNGS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--finetune", type=int, default=150, help="steps on the tasks, 0 for none")
    parser.add_argument("--variant", default="", help="name of what --set changes")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of the pre-training")
    parser.add_argument("--table", action="store_true", help="print and draw what is there, and run nothing")
    options = parser.parse_args(argv)
    if options.table:
        if not rows(options.out):
            raise UserError(f"{options.out} has no points yet: run without --table first")
        print(page.table(rows(options.out)))
        if (options.data / DATA[options.set_name][0]).is_dir():
            print(chance(options.set_name, options.data))
        page.draw(rows(options.out), options.out.with_suffix(".png"))
        return 0
    for seed in options.seeds:
        for rung in options.rungs:
            config = pretraining(options.set_name, rung, seed, options.set)
            found = (options.set_name, config.steps, config.batch, options.finetune, options.variant, rung, seed)
            key = {name: str(value) for name, value in zip(KEY, found, strict=True)}
            if known(key, rows(options.out)):
                print("finished:", *key.values())
                continue
            scores = point(config, key, options.runs, options.data, options.set)
            append(options.out, key | {name: f"{value:.4f}" for name, value in scores.items()}, COLUMNS)
            print("point:", *key.values(), scores, flush=True)
    return 0


def pretraining(data: str, rung: str, seed: int, overrides: list[str]) -> ConfigDict:
    """The pre-training of one point; "scratch" has the model of A7."""
    rung = "A7" if rung == SCRATCH else rung
    _, sections, length, _ = DATA[data]
    config = ConfigDict(DEFAULTS | dict(configs.load(f"configs/pretrain/unidcp.py:tiny,{data},{rung}")))
    config.data.train[data].tasks.retrieve.sections = sections
    config.evals[f"retrieve_{data}"].task.sections = sections
    fixed = {
        "seed": seed,
        "data.spec.views": 1,
        "data.spec.text_length": length,
        "steps": 200,
        "batch": 32,
        "optimizer.warmup": 20,
    }
    config.update_from_flattened_dict(fixed | {f"system.weights.{name}": 0.0 for name in CORE})
    configs.override(config, overrides)
    return config


def point(config: ConfigDict, key: dict[str, str], runs: Path, data: Path, overrides: list[str]) -> dict[str, float]:
    """Train and score one point: {name of `SCORES` and `STATISTICS`: value}, those that the rung has."""
    steps, rung = int(key["finetune"]), key["rung"]
    folder = runs / "-".join(value for name, value in key.items() if name != "finetune" and value)
    tuned = tasks_of(key["data"], "A7" if rung == SCRATCH else rung, steps, int(config.seed), overrides)
    scores: dict[str, float] = {}
    if rung != SCRATCH:
        scores |= scored(config, folder / "pretrain", data)
        last = read_metrics(folder / "pretrain")[int(config.steps)]
        scores |= {name: last[name] for name in STATISTICS if name in last}
        tuned.start_from = str(folder / "pretrain")
    return scores | (scored(tuned, folder / f"tasks-{steps}", data) if steps else {})


def tasks_of(data: str, rung: str, steps: int, seed: int, overrides: list[str]) -> ConfigDict:
    """The fine-tuning of one point: images alone and texts alone."""
    path, _, _, asked = DATA[data]
    train = {
        name: {
            "path": path,
            "split": "train",
            "tasks": {name: task},
            "weight": 1.0,
            "pack": 8 if name == "findings" else 1,
        }
        for name, task in asked.items()
    }
    evals = {name: evaluated(path, name, task) for name, task in asked.items()}
    lengths = {"views": 1, "text": 64, "prompt": 4, "response": 48}
    config = run("tiny", train, evals, TAUGHT, best="", rung=rung, steps=steps, learning_rate=5e-4, **lengths)
    if "summarise" not in asked:
        config.system.weights.tokens = 0.0
    config.seed = seed
    configs.override(config, [x for x in overrides if x.startswith(("system.model.", "system.prompts."))])
    return ConfigDict(DEFAULTS | dict(config))


def scored(config: ConfigDict, workdir: Path, data: Path) -> dict[str, float]:
    """Train, unless that is done: `SCORES` of every entry of `evals` on the test split, newest weights."""
    training = config.copy_and_resolve_references()
    training.evals, training.best, training.evaluate_every = {}, "", 0
    train_config(training, workdir, data)
    parts = Run.load(workdir, data)
    parts.config.evals = config.evals
    params = placed(parts, parts.params("newest"))
    found: dict[str, float] = {}
    for name in config.evals:
        evaluator = parts.evaluator(name, "test", full=True)
        found |= {f"{evaluator.task.name}/{metric}": value for metric, value in evaluator.headline(params).items()}
    return {name: found[name] for name in SCORES if name in found}


def chance(data: str, folder: Path, draws: int = 50) -> str:
    """Lines of recall on the test split: random orders, and random ones that know the modality of image and text."""
    path, sections, _, _ = DATA[data]
    source = PreparedSplit(folder / path, "test")
    samples = make_samples(source, tasks.build({"name": "retrieve", "sections": sections}))
    texts = samples.column("text")
    modality = np.array([source[int(i)].modality for i in samples.records])
    same = modality[:, None] == modality
    lines = []
    for title, known_part in (("random order", 0), ("modality alone", 2)):
        noise = (np.random.default_rng(seed).random(same.shape) for seed in range(draws))
        ranks = [retrieval.ranked({"": known_part * same + x}, texts) for x in noise]
        found = [np.mean([one[way] <= k for order in ranks for one in order]) for way in WAYS for k in (1, 5, 10)]
        at = [(found[k] + found[k + 3]) / 2 for k in range(3)]
        lines.append(f"| {title} | {draws} | " + " | ".join(f"{x:.3f}" for x in (np.mean(found), *at)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(command(main))
