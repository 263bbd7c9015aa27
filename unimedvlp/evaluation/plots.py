"""Figures of the evaluation page. Each returns a matplotlib Figure; colours are safe for colour-blind readers."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from unimedvlp.errors import UserError
from unimedvlp.evaluation.bootstrap import Value

COLOURS = ("#1f5f8b", "#d1782b", "#3c8f68", "#8a5aa8", "#b23a48", "#6b7280")
_INK, _GRID = "#3b424c", "#e1e4e8"


def curves(records: Sequence[Mapping[str, float]], names: Sequence[str], step: str = "step", label: str = "") -> Figure:
    """Metrics by step, from the lines of metrics.jsonl: each a mapping with `step` and some of `names`."""
    figure, axes = _figure()
    drawn = 0
    for index, name in enumerate(names):
        points = sorted((record[step], record[name]) for record in records if name in record)
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=COLOURS[index % len(COLOURS)], label=name, marker="o" if len(x) < 25 else "", ms=3.5)
            drawn += 1
    if not drawn:
        raise UserError(f"no record holds any of {', '.join(names)}")
    axes.set(xlabel=step, ylabel=label or (names[0] if len(names) == 1 else ""))
    _legend(axes, drawn)
    return figure


def bars(values: Mapping[str, Value], baselines: Sequence[str] = (), label: str = "") -> Figure:
    """One horizontal bar a method with its interval; methods named in `baselines` are grey."""
    if not values:
        raise UserError("no values to draw")
    figure, axes = _figure(height=0.9 + 0.42 * len(values))
    for place, (name, value) in enumerate(reversed(values.items())):
        colour = "#bcc3cb" if name in baselines else "#6aa5cd"
        axes.barh(place, value.value, color=colour, height=0.62)
        axes.plot([value.low, value.high], [place, place], color=_INK, lw=1.6, solid_capstyle="butt")
        right = np.nanmax([value.value, value.high])
        axes.annotate(f"{value.value:.3f}", (right, place), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(values)), list(reversed(values)))
    axes.margins(x=0.12)
    axes.set(xlabel=label)
    axes.grid(axis="y", visible=False)
    return figure


def roc(labels: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> Figure:
    """ROC curves: labels [N, G] of 1, 0 and nan (left out), scores [N, G]; single-class columns are not drawn."""
    figure, axes = _figure(width=5.6, height=4.6)
    drawn = 0
    for column, name in enumerate(names):
        known = ~np.isnan(labels[:, column])
        if len(np.unique(labels[known, column])) == 2:
            false, true, _ = roc_curve(labels[known, column], scores[known, column])
            axes.plot(false, true, color=COLOURS[column % len(COLOURS)], label=name)
            drawn += 1
    _diagonal(axes, "false positive rate", "true positive rate")
    _legend(axes, drawn, always=True)
    return figure


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> Figure:
    """Observed frequency against predicted probability in equally filled bins. Both [N]; nan labels left out."""
    known = ~np.isnan(labels)
    if not known.any():
        raise UserError("a reliability curve needs labels")
    observed, predicted = calibration_curve(labels[known], probabilities[known], n_bins=bins, strategy="quantile")
    figure, axes = _figure(width=5.6, height=4.6)
    axes.plot(predicted, observed, color=COLOURS[0], marker="o", ms=4)
    _diagonal(axes, "predicted probability", "observed frequency")
    return figure


def _figure(width: float = 7.4, height: float = 3.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRID)
    axes.tick_params(colors=_INK, length=0)
    axes.grid(color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Axes, drawn: int, always: bool = False) -> None:
    if drawn > 1 or (drawn and always):
        axes.legend(frameon=False, fontsize=9)


def _diagonal(axes: Axes, x: str, y: str) -> None:
    axes.plot([0, 1], [0, 1], color="#a8b0ba", lw=1, ls="--")
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def pairs(above: np.ndarray, below: np.ndarray) -> Figure:
    """Pictures uint8 [N, H, W, C] in a row, and under each its partner of `below`."""
    count = len(above)
    figure = Figure(figsize=(max(1.1 * count, 2.4), 2.4), layout="constrained", facecolor="white")
    for row, axes in zip((above, below), figure.subplots(2, count, squeeze=False), strict=True):
        for picture, place in zip(row, axes, strict=True):
            place.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
            place.set_axis_off()
    return figure
