"""One self-contained HTML page for an evaluation: tables with intervals, figures, samples. No script, nothing external.

page = Page("IU X-Ray report generation", "checkpoint runs/iu, step 4,000")
page.table([Row("best constant", baseline_values, baseline=True), Row("this model", values)], "Test split")
page.figure(plots.curves(...), "Loss by step")
page.samples([Sample([png], {"prediction": "...", "truth": "..."})], "Drawn at random from the test split")
page.write("runs/iu/report.html")
"""

import base64
import html
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from unimedvlp.errors import UserError
from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.evaluation.page_style import STYLE
from unimedvlp.evaluation.samples import Sample, sample_html

Cell = Value | float | int | str | None


@dataclass(frozen=True)
class Row:
    """A row of a table: a system and its numbers by column. baseline: a trivial method, shown apart, above."""

    name: str
    values: Mapping[str, Cell]
    baseline: bool = False


class Page:
    """Collects blocks in the order of the calls; `write` puts them into one file."""

    def __init__(self, title: str, subtitle: str = ""):
        self.title, self.subtitle = title, subtitle
        self._blocks: list[str] = []

    def heading(self, text: str) -> "Page":
        """Start a section."""
        return self._add(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> "Page":
        """Plain paragraphs, separated by empty lines."""
        return self._add("".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n") if part.strip()))

    def table(self, rows: Sequence[Row], caption: str, best: str | None = "max", lower: Sequence[str] = ()) -> "Page":
        """Numbers with 95 % intervals beneath; baselines first. Columns: in order of first use; units belong in names.

        best: "max" or "min" shades the best value of each column, None shades nothing; whole numbers are counts. lower: columns
        of which less is better.
        """
        if not rows:
            raise UserError(f"table {caption!r} has no rows")
        columns = list(dict.fromkeys(column for row in rows for column in row.values))
        top = {
            column: _best([row.values.get(column) for row in rows], "min" if best and column in lower else best)
            for column in columns
        }
        head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
        bodies = []
        groups = (
            ("Trivial baselines", [r for r in rows if r.baseline]),
            ("Systems", [r for r in rows if not r.baseline]),
        )
        for title, members in groups:
            if not members:
                continue
            lines = [_row(row, columns, top) for row in members]
            if len(members) < len(rows):
                lines.insert(0, f'<tr class="group"><th colspan="{len(columns) + 1}">{title}</th></tr>')
            bodies.append(f"<tbody>{''.join(lines)}</tbody>")
        return self._add(
            f'<div class="scroll" tabindex="0"><table><caption>{html.escape(caption)}</caption>'
            f'<thead><tr><th scope="col"></th>{head}</tr></thead>{"".join(bodies)}</table></div>'
        )

    def figure(self, figure: Figure | bytes, caption: str) -> "Page":
        """A matplotlib figure, or the bytes of a PNG."""
        size = ""
        if isinstance(figure, Figure):
            size = f' style="max-width: {figure.get_figwidth() * 96:.0f}px"'
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=160)
            figure = buffer.getvalue()
        text = html.escape(caption)
        source = base64.b64encode(figure).decode()
        return self._add(
            f'<figure class="plot"><img alt="{text}" src="data:image/png;base64,{source}"{size}>'
            f"<figcaption>{text}</figcaption></figure>"
        )

    def notices(self, notices: Sequence[tuple[str, str, Sequence[str]]]) -> "Page":
        """A list of (level, title, lines below it); the levels "error", "warning" and "note" have colours of their own."""
        items = "".join(
            f'<li class="{html.escape(level)}"><b>{html.escape(level)}</b><div>{html.escape(title)}'
            f"{''.join(f'<small>{html.escape(line)}</small>' for line in lines)}</div></li>"
            for level, title, lines in notices
        )
        return self._add(f'<ul class="notices">{items}</ul>')

    def samples(
        self, samples: Sequence[Sample], caption: str = "", folded: bool = False, large: bool = False
    ) -> "Page":
        """Images beside prediction and truth. folded: hidden until opened; large: images above the text, at full width."""
        legend = ""
        if any({"prediction", "truth"} <= set(sample.fields) for sample in samples):
            legend = (
                '<p class="soft"><mark class="extra">only predicted</mark> <mark class="missed">only true</mark></p>'
            )
        note = f'<p class="soft">{html.escape(caption)}</p>' if caption else ""
        kind = "samples large" if large else "samples"
        block = f'{legend}<div class="{kind}">{"".join(map(sample_html, samples))}</div>'
        if folded:
            return self._add(f"<details><summary>{html.escape(caption)}</summary>{block}</details>")
        return self._add(note + block)

    def html(self) -> str:
        """The whole page."""
        title, subtitle = html.escape(self.title), html.escape(self.subtitle)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">"
            f"<style>{STYLE}</style></head><body><main><header><h1>{title}</h1>"
            f'<p class="soft">{subtitle}</p></header>\n{chr(10).join(self._blocks)}\n</main></body></html>\n'
        )

    def write(self, path: str | Path) -> Path:
        """Write the page; a reader sees the old page or the whole new one, never a part."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_text(self.html(), encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _add(self, block: str) -> "Page":
        self._blocks.append(block)
        return self


def _row(row: Row, columns: Sequence[str], top: Mapping[str, float | None]) -> str:
    cells = "".join(_cell(row.values.get(column), top[column]) for column in columns)
    name = "baseline" if row.baseline else "system"
    return f'<tr class="{name}"><th scope="row">{html.escape(row.name)}</th>{cells}</tr>'


def _cell(value: Cell, top: float | None) -> str:
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    number = _number(value)
    if number is None:
        return '<td title="undefined or not measured">&ndash;</td>'
    counted = isinstance(value, int) or (isinstance(value, Value) and value.exact)
    text = f"{number:,.0f}" if counted else f"{number:.3f}"
    if isinstance(value, Value) and math.isfinite(value.low) and not counted:
        text += f'<small title="95 % interval, n = {value.count}">{value.low:.3f} &ndash; {value.high:.3f}</small>'
    best = number == top and not isinstance(value, int)
    return f'<td class="best">{text}</td>' if best else f"<td>{text}</td>"


def _number(value: Cell) -> float | None:
    """The number of a cell, None for text, nothing and nan."""
    if value is None or isinstance(value, str):
        return None
    return None if math.isnan(float(value)) else float(value)


def _best(cells: Sequence[Cell], best: str | None) -> float | None:
    numbers = [_number(cell) for cell in cells if not isinstance(cell, int) and _number(cell) is not None]
    if best is None or len(numbers) < 2:
        return None
    return max(numbers) if best == "max" else min(numbers)
