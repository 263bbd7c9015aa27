"""`metrics.jsonl`: one JSON object a line, each with "step". Lines are appended and never rewritten.

The file is opened, appended to and closed for every row, so that a bucket mounted as a folder (which takes over a file when it
is closed) has the row at once. A resumed run may log a step again; readers merge the lines of a step, and the later value of a
name wins.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

NAME = "metrics.jsonl"


class MetricsFile:
    """Appends rows; each is on disk when `write` returns. A half line that a killed process left is ended first."""

    def __init__(self, workdir: Path):
        self._path = workdir / NAME
        if self._path.exists() and self._path.stat().st_size and not self._path.read_bytes().endswith(b"\n"):
            self._append("\n")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds {"step": step, **values}; what is not finite becomes null, since JSON has no such numbers."""
        row = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._append(json.dumps({"step": step, **row}) + "\n")

    def _append(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)


def read_metrics(workdir: Path | str) -> dict[int, dict[str, float | None]]:
    """{step: {name: value}} in the order of the steps; half lines are passed over."""
    rows: dict[int, dict[str, float | None]] = {}
    for line in (Path(workdir) / NAME).read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.setdefault(row.pop("step"), {}).update(row)
    return dict(sorted(rows.items()))
