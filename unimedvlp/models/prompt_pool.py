"""Dynamic cross-modal prompts: what stands in for a missing modality, chosen by the one that is present.

UniDCP (Zhan et al., 2023) says that cross-modal prompts are optimised dynamically in a space that both modalities share.
How is our reconstruction, built on PTUnifier (Chen et al., 2023), whose two pools never learnt, and on L2P (Wang et al., 2022):
a slot of the pool is one unit of knowledge with one key and two values, one for each modality.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from unimedvlp.errors import UserError
from unimedvlp.models.attention import padding_mask
from unimedvlp.models.layers import MultiHeadAttention, dense, layer_norm, named
from unimedvlp.parallel.operations import whole

KINDS = ("none", "static", "raw", "shared")


class Prompts(NamedTuple):
    """Prompts `[B, P, D]`, and the scores `[B, S]` of all slots that they were chosen by (None where none were chosen)."""

    tokens: jax.Array
    scores: jax.Array | None


class PromptPool(nn.Module):
    """Prompts for the modality that a study lacks.

    kind: "none" gives no prompts, "static" the same ones to every study. "raw" chooses from one pool a modality by its inner
      product with the mean embedding, without weights (PTUnifier). "shared" chooses by the cosine of a projected query with
      the keys that both modalities share, and weighs the chosen ones softly, so that keys and queries learn.
    slots: S. image_prompts, text_prompts: how many stand in for an image and for a text. key_width: of the shared space.
    temperature: of the softmax over cosines. refine: chosen prompts attend to the present modality, at first not at all.
    """

    width: int
    heads: int
    kind: str = "shared"
    slots: int = 2048
    image_prompts: int = 49
    text_prompts: int = 32
    key_width: int = 256
    temperature: float = 0.1
    refine: bool = True
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.check()
        if self.kind == "none":
            return
        counts = {"image": self.image_prompts, "text": self.text_prompts}
        rows = counts if self.kind == "static" else dict.fromkeys(counts, self.slots)
        init = named(nn.initializers.normal(0.02), None, "embed")
        self.values = {m: self.param(f"{m}_values", init, (rows[m], self.width)) for m in counts}
        if self.kind == "shared":
            self.keys = self.param("keys", named(nn.initializers.normal(1.0), None, None), (self.slots, self.key_width))
            self.image_query = dense(self.key_width, ("embed", None), jnp.float32)
            self.text_query = dense(self.key_width, ("embed", None), jnp.float32)
        if self.refine:
            self.image_present = dense(self.width, ("embed", None), self.dtype)
            self.text_present = dense(self.width, ("embed", None), self.dtype)
            self.prompt_norm, self.present_norm = (layer_norm(1e-6, self.dtype) for _ in range(2))
            self.attention = MultiHeadAttention(self.width, self.heads, self.dtype)
            self.alpha = self.param("alpha", named(nn.initializers.zeros), ())

    def check(self) -> None:
        """UserError for an unknown kind, and for more prompts than there are slots to choose from."""
        if self.kind not in KINDS:
            raise UserError(f"system.prompts: kind {self.kind!r} is unknown: use one of {', '.join(KINDS)}")
        for missing, count in (("image", self.image_prompts), ("text", self.text_prompts)):
            if self.kind in ("raw", "shared") and count > self.slots:
                raise UserError(
                    f"system.prompts: a pool of {self.slots} slots has no {count} prompts to choose for a missing "
                    f"{missing}: raise slots or lower {missing}_prompts"
                )

    def __call__(self, missing: str, present: jax.Array, mask: jax.Array) -> Prompts:
        """Prompts for the `missing` modality ("image" or "text") from the embeddings `[B, N, D]` of the other one, as they
        enter its encoder, without class token; mask bool `[B, N]`."""
        count = {"image": self.image_prompts, "text": self.text_prompts}[missing]
        if self.kind == "none":
            return Prompts(jnp.zeros((len(present), 0, self.width), self.dtype), None)
        if self.kind == "static":
            return Prompts(jnp.repeat(self.values[missing][None].astype(self.dtype), len(present), axis=0), None)
        scores = self.scores(missing, present, mask)
        top, chosen = jax.lax.top_k(scores, count)
        prompts = whole(self.values[missing][chosen])
        if self.kind == "shared":
            prompts = prompts * count * jax.nn.softmax(top / self.temperature)[..., None]
        prompts = prompts.astype(self.dtype)
        if self.refine:
            prompts = prompts + self._refined(missing, prompts, present, mask)
        return Prompts(prompts, scores)

    def scores(self, missing: str, present: jax.Array, mask: jax.Array) -> jax.Array:
        """Float32 scores `[B, S]` of the slots: cosines with the shared keys, or inner products with the values."""
        present, weight = present.astype(jnp.float32), mask[..., None].astype(jnp.float32)
        mean = (present * weight).sum(1) / jnp.maximum(weight.sum(1), 1)
        queries, keys = mean, self.values[missing]
        if self.kind == "shared":
            ask = self.text_query if missing == "image" else self.image_query
            queries, keys = (x / optax.safe_norm(x, 1e-6, axis=-1, keepdims=True) for x in (ask(mean), self.keys))
        return jnp.einsum("bd,sd->bs", queries, keys, precision="highest")

    def _refined(self, missing: str, prompts: jax.Array, present: jax.Array, mask: jax.Array) -> jax.Array:
        project = self.text_present if missing == "image" else self.image_present
        seen = self.present_norm(project(present))
        return self.alpha.astype(self.dtype) * self.attention(self.prompt_norm(prompts), seen, seen, padding_mask(mask))
