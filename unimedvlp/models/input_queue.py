"""The ordered input queue of the decomposed decoder, and who may look at whom: the attention mask is its definition.

UniMed's abstract speaks of a decoder that predicts two output types, pixel and semantic, "from a defined input queue". That the
queue is the ordered set of queries below, and its table, are our reading, after X-Decoder's public code.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

ORDER = ("latent", "referring", "global", "text", "caption")
SEES: Mapping[str, tuple[str, ...]] = {
    "latent": ("latent",),
    "referring": ("referring", "text"),  # copies of the latent queries, there if a text is
    "global": ("global",),
    "text": ("text",),
    "caption": ("latent", "referring", "global", "text", "caption"),  # captions among themselves: causally
}


def attention_table(counts: Mapping[str, int]) -> jax.Array:
    """Who may look at whom `[1, 1, T, T]` bool, for `counts` places of each segment in `ORDER` (none where absent)."""
    segments = [name for name in ORDER for _ in range(counts.get(name, 0))]
    place = jnp.arange(len(segments))
    caption = jnp.array([name == "caption" for name in segments])
    table = jnp.array([[other in SEES[name] for other in segments] for name in segments])
    future = (place[None, :] > place[:, None]) & caption[:, None] & caption[None, :]
    return (table & ~future)[None, None]


def places(counts: Mapping[str, int], name: str) -> slice:
    """Where a segment lies in the queue."""
    begin = sum(counts.get(other, 0) for other in ORDER[: ORDER.index(name)])
    return slice(begin, begin + counts.get(name, 0))
