"""Points of a study: training runs that are scored, kept in a CSV file, and tabulated over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections

from configs.pretrain.unimed import LEADS
from launch.assemble import Run, placed
from launch.train import train_config

COLUMNS = ("point", "seed", "steps", "batch", *LEADS)


def score(config: ml_collections.ConfigDict, workdir: Path, data: Path, split: str) -> dict[str, float]:
    """Train what a config describes, or go on with it, and score the best weights: the leading metric of each of its `evals`."""
    train_config(config, workdir, data)
    parts = Run.load(workdir, data)
    params = placed(parts, parts.params("best"))
    found = {name: parts.evaluator(name, split, full=True).headline(params) for name in config.evals}
    return {name: scores[LEADS[name]] for name, scores in found.items() if LEADS[name] in scores}


def row(point: str, config: ml_collections.ConfigDict) -> dict[str, str]:
    """What tells a point from others in the file."""
    return {"point": point, "seed": str(config.seed), "steps": str(config.steps), "batch": str(config.batch)}


def known(key: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a point is in the file."""
    return any(key.items() <= other.items() for other in rows)


def table(points: Sequence[Mapping[str, str]]) -> str:
    """Mean and standard deviation over seeds as Markdown, a row a point and budget."""
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for one in points:
        groups.setdefault((one["point"], one["steps"], one["batch"]), []).append(one)
    lines = ["| point | steps x batch | seeds | " + " | ".join(f"{n} {m}" for n, m in LEADS.items()) + " |"]
    lines.append("| --- | --- | ---: |" + " ---: |" * len(LEADS))
    for (point, steps, batch), members in groups.items():
        cells = [_cell([float(one[name]) for one in members if one[name]]) for name in LEADS]
        lines.append(f"| {point} | {steps} x {batch} | {len(members)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"
