"""The ladder of UniDCP's prompts as a table and a picture: means and standard deviations over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, str]]
RECALLS = tuple(f"retrieve/{way}_r{k}" for way in ("image_to_text", "text_to_image") for k in (1, 5, 10))
SHOWN = {
    "mean recall": RECALLS,
    "recall at 1": ("retrieve/image_to_text_r1", "retrieve/text_to_image_r1"),
    "recall at 5": ("retrieve/image_to_text_r5", "retrieve/text_to_image_r5"),
    "recall at 10": ("retrieve/image_to_text_r10", "retrieve/text_to_image_r10"),
    "findings AUROC": ("findings/auroc_macro",),
    "inference accuracy": ("infer/accuracy",),
    "summary ROUGE-L": ("summarise/rouge_l",),
    "agreement": ("prompt_agreement",),
    "usage": ("prompt_usage",),
}
BUDGET = ("data", "steps", "batch", "finetune")


def grouped(rows: Rows) -> dict[tuple[str, ...], dict[str, Rows]]:
    """{budget: {rung and variant: rows of its seeds}}, both in the order of the rungs' names."""
    found: dict[tuple[str, ...], dict[str, list[Mapping[str, str]]]] = {}
    for row in sorted(rows, key=lambda row: (row["rung"], row["variant"])):
        name = " ".join(part for part in (row["rung"], row["variant"]) if part)
        found.setdefault(tuple(row[name] for name in BUDGET), {}).setdefault(name, []).append(row)
    return found


def mean_and_deviation(rows: Rows, columns: Sequence[str]) -> tuple[float, float, int] | None:
    """Over seeds, of the mean of some columns of each row (both directions of retrieval count as one): mean, standard deviation
    (0 for one seed) and number of seeds; None where no row has them."""
    values = [statistics.mean(float(row[c]) for c in columns) for row in rows if all(row[c] for c in columns)]
    return (
        (statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values)) if values else None
    )


def table(rows: Rows) -> str:
    """Markdown: one table a budget, a row a rung."""
    parts = []
    for budget, rungs in grouped(rows).items():
        columns = {name: c for name, c in SHOWN.items() if any(mean_and_deviation(r, c) for r in rungs.values())}
        parts.append(", ".join(f"{name} {value}" for name, value in zip(BUDGET, budget, strict=True)) + "\n")
        parts.append("| rung | seeds | " + " | ".join(columns) + " |")
        parts.append("| --- | ---: |" + " ---: |" * len(columns))
        for rung, members in rungs.items():
            cells = (_cell(mean_and_deviation(members, c)) for c in columns.values())
            parts.append(f"| {rung} | {len(members)} | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def draw(rows: Rows, path: Path) -> None:
    """A picture of the table, of variants only where there is nothing else: a row of panels a budget, points are seeds and bars
    their means."""
    rows = [row for row in rows if not row["variant"]] or rows
    budgets = grouped(rows)
    names = [name for name, c in SHOWN.items() if any(all(row[x] for x in c) for row in rows)]
    size = (3 * len(names), 3 * len(budgets))
    figure = Figure(figsize=size, layout="tight")
    panels = figure.subplots(len(budgets), len(names), squeeze=False)
    for (budget, rungs), line in zip(budgets.items(), panels, strict=True):
        for name, panel in zip(names, line, strict=True):
            for place, members in enumerate(rungs.values()):
                if found := mean_and_deviation(members, SHOWN[name]):
                    panel.bar(place, found[0], color="lightsteelblue")
                    seeds = [mean_and_deviation([row], SHOWN[name]) for row in members]
                    panel.plot([place] * found[2], [one[0] for one in seeds if one], "k.", markersize=4)
            panel.set_visible(bool(panel.lines))
            panel.set_xlim(-0.6, len(rungs) - 0.4)
            panel.set_xticks(range(len(rungs)), rungs, rotation=90, fontsize=7)
            panel.set_title(f"{name}\n{' '.join(budget)}", fontsize=7)
    figure.savefig(path, dpi=80)


def _cell(found: tuple[float, float, int] | None) -> str:
    if found is None:
        return "-"
    return f"{found[0]:.3f}" + (f" ± {found[1]:.3f}" if found[2] > 1 else "")
