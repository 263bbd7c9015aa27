"""What each record of a source can be asked by a task: scanned once, then kept in a small file beside the prepared data."""

import hashlib
import inspect
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unimedvlp.errors import UserError
from unimedvlp.records import Record
from unimedvlp.tasks.base import Task

_log = logging.getLogger(__name__)


def units_by_record(source: Sequence[Record], task: Task, name: str = "") -> list[list[Any]]:
    """For each record the task's units, none where the record cannot serve it.

    A source with a `folder` and a `split` is scanned once; the result is kept in `folder/units`, if that can be written,
    until a file of the folder or the task's code changes. Units must be plain JSON values. UserError where no record
    serves the task, naming the data set (`name`), the task and the missing field.
    """
    path = _cache_path(source, task)
    if path and path.is_file():
        return json.loads(path.read_text())
    found = []
    present: set[str] = set()
    for i in range(len(source)):
        record = source[i]
        present.update(field for field in task.needs if len(getattr(record, field)))
        found.append(list(task.units(record)) if task.serves(record) else [])
    if not any(found):
        empty = [field for field in task.needs if field not in present]
        reason = f"field {', '.join(empty)} is empty in all" if empty else "it finds nothing to ask in any of"
        raise UserError(f"data set {name} cannot serve task {task.name}: {reason} {len(source)} records")
    if path:
        _write(path, json.dumps(found))
    return found


def _cache_path(source: Sequence[Record], task: Task) -> Path | None:
    folder, split = getattr(source, "folder", None), getattr(source, "split", None)
    if folder is None or split is None:
        return None
    files = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(Path(folder).iterdir()) if f.is_file()]
    key = hashlib.sha256(repr((split, files, task, _code(task))).encode()).hexdigest()[:16]
    return Path(folder) / "units" / f"{split}-{task.name}-{key}.json"


def _code(task: Task) -> list[str]:
    """Source of the task's module, of those of its base classes, and of the project's modules that they use."""
    modules = [inspect.getmodule(cls) for cls in type(task).__mro__ if issubclass(cls, Task)]
    used = [m for module in modules for m in vars(module).values() if inspect.ismodule(m)]
    used = [m for m in used if m.__name__.startswith("unimedvlp.")]
    return [inspect.getsource(m) for m in dict.fromkeys((*modules, *used))]


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        _log.info("input: cannot keep %s (%s); the next start scans again", path, error.strerror)
