"""Configs: load a `get_config` file, override single keys, save and reload it as JSON, turn a part of it into a dataclass."""

import dataclasses
import difflib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ml_collections
import yaml

from unimedvlp.errors import UserError

FILE = "config.json"
# parts whose keys `build` checks, so that those left out can be set
CHECKED_WHEN_BUILT = ("system", "method", "augment", "spec")
T = TypeVar("T")


def load(spec: str) -> ml_collections.ConfigDict:
    """The config of `path/to/file.py` or `path/to/file.py:argument`, which its `get_config` is called with."""
    path, _, argument = spec.partition(":")
    if not Path(path).is_file():
        near = difflib.get_close_matches(path, map(str, Path("configs").rglob("*.py")), n=1)
        raise UserError(f"no config file {path}" + (f"; did you mean {near[0]}?" if near else ""))
    module_spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"{path} defines no get_config()")
    return module.get_config(argument) if argument else module.get_config()


def override(config: ml_collections.ConfigDict, assignments: Iterable[str]) -> None:
    """Set `a.b=value` for every assignment, in place; values are read as YAML. An unknown key names the nearest valid one.

    Inside the parts `CHECKED_WHEN_BUILT` also keys that the config leaves at their defaults can be set.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"override {assignment!r}: expected key=value")
        node, parts = config, key.split(".")
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            optional = last and not set(parts[:i]).isdisjoint(CHECKED_WHEN_BUILT)
            parent, node = node, _child(node, part, ".".join(parts[:i]), optional)
        value = yaml.safe_load(text)
        if isinstance(value, str) and (node is None or isinstance(node, float)):
            value = _number(value)  # YAML reads 5e-4 as text
        try:
            with parent.unlocked():
                parent[parts[-1]] = value
        except TypeError as error:
            raise UserError(f"override {key}={text}: {error}") from None


def save(config: ml_collections.ConfigDict, workdir: str | Path) -> None:
    """Write `config.json`."""
    Path(workdir).mkdir(parents=True, exist_ok=True)
    (Path(workdir) / FILE).write_text(json.dumps(config.to_dict(), indent=2) + "\n")


def reload(workdir: str | Path) -> ml_collections.ConfigDict:
    """The config that a working directory was trained with; nothing of it is executed."""
    path = Path(workdir) / FILE
    if not path.is_file():
        raise UserError(f"no {FILE} in {workdir}; expected a working directory that `unimedvlp train` wrote")
    try:
        return ml_collections.ConfigDict(json.loads(path.read_text()))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None


def build(cls: type[T], options: Mapping[str, Any], where: str, **fixed: Any) -> T:
    """A dataclass (or Linen module) from a part of a config; an unknown key names the nearest valid one."""
    known = [f.name for f in dataclasses.fields(cls) if f.init and f.name not in ("parent", "name", *fixed)]
    for key in options:
        if key not in known:
            raise _unknown(key, known, where)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in dict(options).items()}
    return cls(**values, **fixed)


def _child(node: Any, part: str, where: str, optional: bool) -> Any:
    if not isinstance(node, ml_collections.ConfigDict):
        raise UserError(f"config key {where} is a value, it has no {part!r} inside")
    if part not in node and not optional:
        raise _unknown(part, list(node), where)
    return node.get(part)


def _number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _unknown(key: str, known: list[str], where: str) -> UserError:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return UserError(f"unknown config key {(where + '.' if where else '') + key!r}; {hint}")
