"""Parameters as nested dicts whose leaves are named by "/"-joined paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict


def prune(params: dict, keep: Callable[[str], bool]) -> dict:
    """The nested dict of only those leaves whose path `keep` accepts."""
    return unflatten_dict({path: x for path, x in flatten_dict(params).items() if keep("/".join(path))})


def override(params: dict, subset: dict) -> dict:
    """`params` with the leaves that `subset` has replaced by them."""
    return unflatten_dict(flatten_dict(params) | flatten_dict(subset))


def flat(tree: Any) -> dict[str, Any]:
    """Any pytree as {path: leaf}, e.g. {"params/image/kernel": ...}."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def unflat(leaves: dict[str, Any], like: Any) -> Any:
    """The inverse of `flat`, into the structure of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[path] for path in flat(like)])
