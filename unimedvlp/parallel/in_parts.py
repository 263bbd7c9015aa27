"""Gradient caching: contrast over a batch whose activations do not fit at once (GradCache, Gao et al., 2021).

The embeddings of a large batch are small; what fills the memory is how they came about. So they are computed part by part
and kept without their activations, the loss sees all of them, and on the way back each part is computed once more. The
gradient is that of the whole batch, at the price of a second forward pass, while accumulating gradients over microbatches
would shrink the batch that contrast sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_parts(encode: Callable[[Any, jax.Array], Any], batch: Any, rng: jax.Array, parts: int) -> Any:
    """`encode(batch, rng)` for a tree of arrays [B, ...] -> tree of arrays [B, ...], in `parts` equal parts one after another.

    `encode` must treat rows independently of each other. The k-th part are the rows k, k + parts, ..., so that each is spread
    over all devices; the result is in the order of the batch. Part k gets the key folded with k. With 1 part it is
    `encode(batch, rng)` itself, nothing recomputed.
    """
    if parts == 1:
        return encode(batch, rng)
    again = jax.checkpoint(encode, policy=jax.checkpoint_policies.nothing_saveable, prevent_cse=False)

    def one(_: None, part: tuple[Any, jax.Array]) -> tuple[None, Any]:
        rows, k = part
        return None, again(rows, jax.random.fold_in(rng, k))

    _, found = jax.lax.scan(one, None, (split(batch, parts), jnp.arange(parts)))
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), found)


def split(batch: Any, parts: int) -> Any:
    """Every array [B, ...] as [parts, B / parts, ...]; the k-th part are the rows k, k + parts, ..."""
    return jax.tree.map(lambda x: x.reshape(x.shape[0] // parts, parts, *x.shape[1:]).swapaxes(0, 1), batch)
