"""Score a trained model on a split: tables with intervals, trivial baselines and a shuffled-image control, and an HTML page."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from data_pipelines.batch import Tally
from launch.assemble import Run, placed, plans
from launch.main import run
from unimedvlp.errors import UserError
from unimedvlp.evaluation import plots
from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.evaluation.comparison import MODEL, Comparison, compare
from unimedvlp.evaluation.page import Page, Row
from unimedvlp.evaluation.samples import Sample
from unimedvlp.evaluation.tables import markdown
from unimedvlp.parallel import multihost
from unimedvlp.records import Record
from unimedvlp.tasks.base import Reference
from unimedvlp.training.metrics_file import read_metrics

EXAMPLE = """example:
  unimedvlp evaluate --workdir runs/synthetic --data data --split test

The page lies at WORKDIR/evaluation/SPLIT/index.html; beside it results.json, results.md and one predictions file a task."""
SHOWN = 12  # samples on the page


def main(argv: list[str]) -> int:
    """Evaluate every entry of the config's `evals`, print the tables and write page, results and predictions."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp evaluate",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workdir", required=True, type=Path, help="working directory of a training run")
    parser.add_argument("--data", default=Path("data"), type=Path, help="folder of the prepared data sets")
    parser.add_argument("--split", default="test", help="split to score (default: test)")
    parser.add_argument("--which", default="best", choices=("best", "newest"), help="which weights (default: best)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these entries of `evals`")
    parser.add_argument("--out", type=Path, help="another folder for page and results")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="override keys of the config")
    options = parser.parse_args(argv)
    multihost.initialize()
    parts = Run.load(options.workdir, options.data, options.set)
    if unknown := set(options.only) - set(parts.config.evals):
        raise UserError(f"--only: no entry {sorted(unknown)} in evals; there are {sorted(parts.config.evals)}")
    out = options.out or options.workdir / "evaluation" / options.split
    page = evaluate(parts, options.split, options.which, options.only or list(parts.config.evals), out)
    print(f"page: {page}")
    return 0


def evaluate(parts: Run, split: str, which: str, names: Sequence[str], out: Path) -> Path:
    """Score the named entries of `evals` and write everything below `out`; returns the page's path."""
    params = placed(parts, parts.params(which))
    page = Page(f"Evaluation of {parts.workdir.name}", f"{split} split, {which} weights of {parts.workdir.name}")
    results: dict[str, Any] = {}
    tables = []
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        tally = Tally()
        comparison = compare_entry(parts, name, split, params, tally)
        scores = comparison.scores()
        results[name] = {
            "split": split,
            "weights": which,
            "set_aside": tally.set_aside,
            "scores": {row: _plain(values) for row, values in scores.items()},
            "gains": {row: _plain(values) for row, values in comparison.gains().items()},
        }
        _print_table(name, comparison, scores)
        verdict = "".join(f"- {line}\n" for line in comparison.verdict())
        tables.append(f"## {name}\n\n{markdown(scores, comparison.task.headline, MODEL)}\n{verdict}")
        source = parts.source(name, split)
        _write_predictions(out / f"{name}.jsonl", comparison, source)
        _add_section(page, name, comparison, scores, source, tally)
    _add_training(page, parts)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "results.md").write_text("\n".join(tables))
    return page.write(out / "index.html")


def compare_entry(parts: Run, name: str, split: str, params: Any, tally: Tally) -> Comparison:
    """One entry of `evals`: the model by each of its decoders, its shuffled-image control, and all trivial baselines."""
    task = parts.task(name)
    if plans(task):
        parts.choose_plan(name, params)
    model = parts.evaluator(name, split, full=True, tally=tally)
    predictions, samples = model.predict(params)
    validation, held = None, None
    if split != "validation":
        held = parts.samples(name, "validation")
    if task.tunes and held is not None:
        validation, held = parts.evaluator(name, "validation", full=True).predict(params)
    shuffled = None
    if "images" in task.shows:
        control, _ = parts.evaluator(name, split, shuffled=True, full=True).predict(params)
        shuffled = (control, validation)
    others = {}
    for decoder in parts.decoders(name)[1:]:
        tuned, found = None, parts.evaluator(name, split, full=True, decoder=decoder).predict(params)[0]
        if validation is not None:
            tuned = parts.evaluator(name, "validation", full=True, decoder=decoder).predict(params)[0]
        others[f"{MODEL}, {decoder} decoder"] = (found, tuned)
    reference = Reference(model.reference.train, held)
    return compare(task, samples, reference, (predictions, validation), shuffled, others)


def _print_table(name: str, comparison: Comparison, scores: dict[str, dict[str, Value]]) -> None:
    table = Table(title=f"{name} ({len(comparison.samples.truths)} samples)")
    table.add_column("")
    for metric in comparison.task.headline:
        table.add_column(metric, justify="right")
    for row, values in scores.items():
        cells = [_cell(values.get(metric)) for metric in comparison.task.headline]
        table.add_row(row, *cells, style="bold" if row == MODEL else "")
    Console(width=160).print(table)
    for line in comparison.verdict():
        print(f"  {line}")


def _cell(value: Value | None) -> str:
    return "-" if value is None or np.isnan(value.value) else value.text("\n")


def _add_section(page, name, comparison, scores, source, tally) -> None:
    task, headline = comparison.task, comparison.task.headline
    page.heading(name)
    rows = [
        Row(row, {metric: values[metric] for metric in headline if metric in values}, comparison.entrants[row].trivial)
        for row, values in scores.items()
    ]
    caption = f"{task.name} on {len(comparison.samples.truths)} samples, with 95 % bootstrap intervals."
    page.table(rows, caption, lower=task.lower)
    page.text("\n\n".join(comparison.verdict()))
    if tally.set_aside:
        page.text(f"Set aside as unreadable: {len(tally.set_aside)} ({', '.join(sorted(tally.set_aside)[:5])} ...).")
    lead = headline[0]
    trivial = [row for row, entrant in comparison.entrants.items() if entrant.trivial]
    page.figure(
        plots.bars({row: v[lead] for row, v in scores.items() if lead in v}, trivial, lead), f"{lead} by method."
    )
    details = [
        Row(key, {"model": value}) for key, value in scores[MODEL].items() if "/" in key and not np.isnan(value.value)
    ]
    if details:
        page.table(details, "The model by class or finding.", best=None)
    count = len(comparison.samples.truths)
    chosen = np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))
    page.samples([_sample(comparison, source, int(place)) for place in chosen], "Evenly spaced over the split.")


def _sample(comparison: Comparison, source: Sequence[Record], place: int) -> Sample:
    record = source[int(comparison.samples.records[place])]
    prediction = comparison.entrants[MODEL].predictions[place]
    shown = comparison.task.show(prediction, comparison.samples.truths[place])
    marks = comparison.task.marks(prediction, comparison.samples.truths[place])
    drawn = list(comparison.task.drawn(prediction, comparison.samples.truths[place]))
    images = drawn or ([record.images[0]] * 2 if marks else list(record.images[:2]))
    captions = ("prediction", "truth") if marks or drawn else ()  # side by side
    return Sample(images, {"study": record.study_id} | shown, marks, captions)


def _write_predictions(path: Path, comparison: Comparison, source: Sequence[Record]) -> None:
    with path.open("w") as file:
        for place, prediction in enumerate(track(comparison.entrants[MODEL].predictions, "writing", transient=True)):
            record = source[int(comparison.samples.records[place])]
            row = {"study_id": record.study_id, "prediction": prediction, "truth": comparison.samples.truths[place]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _add_training(page: Page, parts: Run) -> None:
    rows = [{"step": step} | row for step, row in read_metrics(parts.workdir).items()]
    page.heading("Training")
    page.figure(plots.curves(rows, ["loss"]), "Training loss by step.")
    leads = [f"{name}/{parts.task(name).headline[0]}" for name in parts.config.evals]
    if any(lead in row for row in rows for lead in leads):
        page.figure(plots.curves(rows, leads, label="validation"), "Leading validation metric of each task by step.")


def _plain(values: dict[str, Value]) -> dict[str, Any]:
    return {name: dataclasses.asdict(value) for name, value in values.items() if not np.isnan(value.value)}


if __name__ == "__main__":
    sys.exit(run(main))
