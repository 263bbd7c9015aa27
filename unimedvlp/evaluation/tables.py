"""Tables of scores as Markdown, for pages that are kept."""

import math
from collections.abc import Mapping, Sequence

from unimedvlp.evaluation.bootstrap import Value


def markdown(scores: Mapping[str, Mapping[str, Value]], columns: Sequence[str], bold: str = "") -> str:
    """One row a method, one column a metric, each with its interval; the row named `bold` stands out."""
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name, values in scores.items():
        cells = [_cell(values.get(column)) for column in columns]
        title = f"**{name}**" if name == bold else name
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: Value | None) -> str:
    if value is None or math.isnan(value.value):
        return ""
    if value.low == value.high == value.value and value.value > 1:
        return f"{value.value:.0f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
