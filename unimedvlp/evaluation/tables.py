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
    return "" if value is None or math.isnan(value.value) else value.text()
