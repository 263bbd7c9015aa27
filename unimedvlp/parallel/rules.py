"""Which mesh axes a logical axis is laid over, and the shardings that follow."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from unimedvlp.parallel.mesh import BATCH_AXES

Rules = Sequence[tuple[str, str | tuple[str, ...] | None]]

# In order of precedence: a mesh axis that an earlier rule took for an array is not used twice in it, so activations
# [batch, sequence, embed] give `fsdp` to the batch while parameters [embed, mlp] give it to their embed axis.
RULES: Rules = (
    ("batch", BATCH_AXES),
    ("sequence", "sequence"),
    ("vocab", "tensor"),
    ("heads", "tensor"),
    ("mlp", "tensor"),
    ("embed", "fsdp"),
    ("layers", None),
    ("head_dim", None),
    ("position", None),
    ("patch", None),
)


def shardings(boxed: Any, mesh: Mesh, rules: Rules = RULES) -> Any:
    """Shardings for a tree of parameters, boxed as `System.init` returns them; the result has the unboxed structure.

    A leaf without logical names is replicated, and so is a dimension that its mesh axes do not divide.

    Raises:
      ValueError: for a logical name that `rules` does not know (a misspelt name would silently be replicated).
    """
    known = {name for name, _ in rules}

    def one(leaf: Any) -> NamedSharding:
        if not isinstance(leaf, nn.LogicallyPartitioned):
            return NamedSharding(mesh, PartitionSpec())
        unknown = {name for name in leaf.names if name is not None} - known
        if unknown:
            raise ValueError(f"logical axis {min(unknown)!r} has no rule; known: {', '.join(sorted(known))}")
        spec = nn.logical_to_mesh_axes(leaf.names, rules)
        pairs = zip(leaf.value.shape, spec, strict=True)
        fitting = (axes if size % _ways(axes, mesh) == 0 else None for size, axes in pairs)
        return NamedSharding(mesh, PartitionSpec(*fitting))

    return jax.tree.map(one, boxed, is_leaf=lambda leaf: isinstance(leaf, nn.LogicallyPartitioned))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding of every batch array: its first axis over replica, data and fsdp."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, PartitionSpec())


@contextlib.contextmanager
def activate(mesh: Mesh, rules: Rules = RULES) -> Iterator[None]:
    """Makes `nn.with_logical_constraint` take effect; enter it inside the jitted function, while it is traced."""
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh), nn.logical_axis_rules(rules):
        yield


def _ways(axes: str | tuple[str, ...] | None, mesh: Mesh) -> int:
    names = (axes,) if isinstance(axes, str) else axes or ()
    return math.prod(mesh.shape[name] for name in names)
