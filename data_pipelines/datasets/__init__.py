"""Data sets, one file each. A new file here that defines `BUILDER` is a new data set, known by the file's name."""

import difflib
import importlib
import pkgutil

from data_pipelines.builder import Builder
from unimedvlp.errors import UserError


def names() -> list[str]:
    """Names of all data sets."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def builder(name: str) -> type[Builder]:
    """The builder class of a data set; an unknown name is a UserError with the nearest valid ones."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names())}"
        raise UserError(f"unknown data set {name!r}; {hint}")
    return importlib.import_module(f"{__name__}.{name}").BUILDER
