"""Parameter trees as flat state dicts and back, by a table of rules. Everything is NumPy and pure.

A rule names a parameter here ("layers/block/attention/query/kernel") and there ("encoder.layer.{}.attention.self.query.weight"),
and how its array is laid out there. Stacked layers are one parameter here and one a layer there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util
from flax.core import meta

from unimedvlp.errors import UserError

State = dict[str, np.ndarray]
Shape = tuple[int, ...]


class Layout(NamedTuple):
    """`there(array)` is the PyTorch layout of an array, `here(array, shape)` its inverse."""

    there: Callable[[np.ndarray], np.ndarray]
    here: Callable[[np.ndarray, Shape], np.ndarray]


def _patch_there(size: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda w: w.reshape(size, size, -1, w.shape[-1]).transpose(3, 2, 0, 1)


SAME = Layout(lambda w: w, lambda w, shape: w.reshape(shape))
FLAT = Layout(lambda w: w.reshape(-1), lambda w, shape: w.reshape(shape))
INTO = Layout(lambda w: w.reshape(w.shape[0], -1).T, lambda w, shape: w.T.reshape(shape))  # [D, ...] -> [(...), D]
OUT_OF = Layout(lambda w: w.reshape(-1, w.shape[-1]).T, lambda w, shape: w.T.reshape(shape))  # [..., D] -> [D, (...)]


def patches(size: int) -> Layout:
    """A linear layer over flattened patches, [size * size * C, D], as a convolution's [D, C, size, size]."""
    return Layout(_patch_there(size), lambda w, shape: w.transpose(2, 3, 1, 0).reshape(shape))


class Rule(NamedTuple):
    """One parameter. `layers` are the numbers, there, of the layers stacked here on a leading axis; None: not stacked."""

    here: str
    there: str
    layout: Layout = FLAT
    layers: Sequence[int] | None = None


def export(params: Mapping[str, Any], rules: Sequence[Rule]) -> State:
    """The state dict of an unboxed parameter tree, float32. UserError for a parameter without a rule, or the other way."""
    flat = traverse_util.flatten_dict(jax.device_get(dict(params)), sep="/")
    _same_names(set(flat), {rule.here for rule in rules}, "parameters")
    state = {}
    for rule in rules:
        value = np.asarray(flat[rule.here], np.float32)
        for name, array in _named(rule, value):
            state[name] = np.ascontiguousarray(rule.layout.there(array))
    return state


def restore(state: Mapping[str, np.ndarray], rules: Sequence[Rule], like: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter tree of a state dict, the inverse of `export`; `like` holds arrays or ShapeDtypeStructs of its shapes.

    Names of the state dict that no rule mentions (poolers, heads) are passed over. UserError for one that is missing or has
    another shape.
    """
    shapes = traverse_util.flatten_dict(meta.unbox(dict(like)), sep="/")
    _same_names(set(shapes), {rule.here for rule in rules}, "parameters")
    wanted = [name for rule in rules for name, _ in _named(rule, shapes[rule.here])]
    if missing := [name for name in wanted if name not in state]:
        raise UserError(f"weights: {len(missing)} names are missing, the first is {missing[0]!r}")
    flat = {}
    for rule in rules:
        shape = shapes[rule.here].shape
        one = shape if rule.layers is None else shape[1:]
        parts = [_laid_out(name, state[name], rule, one) for name, _ in _named(rule, shapes[rule.here])]
        flat[rule.here] = parts[0] if rule.layers is None else np.stack(parts)
    return traverse_util.unflatten_dict(flat, sep="/")


def block_rules(here: str, there: str, layers: Sequence[int], names: Mapping[str, str]) -> list[Rule]:
    """Rules of a transformer block under `here`; `names` are its parts there, under `there` with "{}" for the layer.

    `names` has the keys query, key, value, out, attention_norm, up, down and feed_forward_norm.
    """
    found = []
    for part in ("query", "key", "value"):
        found += _linear(f"{here}/attention/{part}", f"{there}.{names[part]}", INTO, layers)
    found += _linear(f"{here}/attention/out", f"{there}.{names['out']}", OUT_OF, layers)
    for part in ("up", "down"):
        found += _linear(f"{here}/feed_forward/{part}", f"{there}.{names[part]}", INTO, layers)
    for part in ("attention_norm", "feed_forward_norm"):
        found += norm_rules(f"{here}/{part}", f"{there}.{names[part]}", layers)
    return found


def norm_rules(here: str, there: str, layers: Sequence[int] | None = None) -> list[Rule]:
    """Rules of a LayerNorm."""
    return [Rule(f"{here}/scale", f"{there}.weight", FLAT, layers), Rule(f"{here}/bias", f"{there}.bias", FLAT, layers)]


def stem_rules(here: str, there: str, patch: int) -> list[Rule]:
    """Rules of a patch embedding."""
    return [Rule(f"{here}/kernel", f"{there}.weight", patches(patch)), Rule(f"{here}/bias", f"{there}.bias")]


def _linear(here: str, there: str, layout: Layout, layers: Sequence[int]) -> list[Rule]:
    return [
        Rule(f"{here}/kernel", f"{there}.weight", layout, layers),
        Rule(f"{here}/bias", f"{there}.bias", FLAT, layers),
    ]


def _named(rule: Rule, value: Any) -> list[tuple[str, Any]]:
    """(name there, array) of every layer of a parameter, or of its shape."""
    if rule.layers is None:
        return [(rule.there, value)]
    if value.shape[0] != len(rule.layers):
        raise UserError(f"weights: {rule.here} has {value.shape[0]} layers, expected {len(rule.layers)}")
    parts = value if isinstance(value, np.ndarray) else [None] * len(rule.layers)
    return [(rule.there.format(number), part) for number, part in zip(rule.layers, parts, strict=True)]


def _laid_out(name: str, array: np.ndarray, rule: Rule, shape: Shape) -> np.ndarray:
    array = np.asarray(array, np.float32)
    wanted = rule.layout.there(np.empty(shape, np.float32)).shape
    if array.shape != wanted:
        raise UserError(f"weights: {name!r} has shape {array.shape}, expected {wanted}")
    return rule.layout.here(array, shape)


def _same_names(found: set[str], ruled: set[str], what: str) -> None:
    if odd := sorted(found ^ ruled):
        raise UserError(f"weights: {what} of another architecture, such as {odd[0]!r}")
