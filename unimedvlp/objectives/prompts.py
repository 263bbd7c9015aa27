"""Optimising prompts in the shareable space: UniDCP's third certain ingredient, in our reconstruction of its terms.

Only the idea is the paper's. Share: both modalities of a study ask for the same slots, and other studies for others. Pull: chosen
keys come closer to their query (L2P, Wang et al., 2022). Balance: the batch as a whole uses all slots.
"""

import jax
import jax.numpy as jnp

from unimedvlp.objectives import ring_contrast
from unimedvlp.objectives.contrast import NEVER
from unimedvlp.objectives.reduce import masked_mean


def prompt_terms(
    image: jax.Array,
    text: jax.Array,
    chosen: tuple[int, int],
    *,
    temperature: float = 0.1,
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """The terms `share`, `pull` and `balance` for studies that have both an image and a text.

    Args:
      image, text: cosines `[B, S]` of each study's image and text query with the S keys.
      chosen: how many slots an image query chooses (the number of text prompts), and a text query.
      temperature: of the softmax over slots, and of the contrast of its results.
      groups: integers `[B]`; studies of one group (the same text) are no negatives of each other. None: all differ.
      valid: bool `[B]`, False for studies that lack a modality.

    Known values: `share` compares how much two softmaxes overlap (the sum of the roots of their products, 1 where they are
    equal). It is ln B where all queries ask alike, so flat ones do not meet it, and about exp(-1 / temperature) (B - 1) where
    each study has slots of its own; `pull` is 0 where queries meet the chosen keys, at most 2; `balance` is 0 for even use and
    ln S for a single slot.
    Metrics: `prompt_agreement`, how often both queries rank the same slot first; `prompt_usage`, the share of slots
    that are first for at least one query of the batch.
    """
    valid = jnp.ones(len(image), bool) if valid is None else valid
    image, text = image.astype(jnp.float32), text.astype(jnp.float32)
    log_image, log_text = (jax.nn.log_softmax(cosines / temperature) for cosines in (image, text))
    roots = (jnp.exp(x / 2) for x in (log_image, log_text))  # of unit length
    shared, _ = ring_contrast.info_nce(*roots, 1 / temperature, groups=groups, valid=valid)
    pulled = [1 - jax.lax.top_k(x, k)[0].mean(axis=1) for x, k in zip((image, text), chosen, strict=True)]
    terms = {
        "share": shared,
        "pull": masked_mean((pulled[0] + pulled[1]) / 2, valid),
        "balance": (_imbalance(log_image, valid) + _imbalance(log_text, valid)) / 2,
    }
    first = jnp.argmax(image, axis=1), jnp.argmax(text, axis=1)
    hits = sum((index[:, None] == jnp.arange(image.shape[1])) & valid[:, None] for index in first)
    metrics = {
        "prompt_agreement": masked_mean(first[0] == first[1], valid),
        "prompt_usage": (hits.sum(axis=0) > 0).mean(dtype=jnp.float32),
    }
    return terms, metrics


def _imbalance(log_slots: jax.Array, valid: jax.Array) -> jax.Array:
    """ln S minus the entropy of the batch's mean use of the slots; 0 for a batch without a valid study."""
    total = jax.nn.logsumexp(jnp.where(valid[:, None], log_slots, NEVER), axis=0)
    log_use = total - jnp.log(jnp.maximum(valid.sum(), 1))
    entropy = -(jnp.exp(log_use) * log_use).sum()
    return jnp.where(valid.any(), jnp.log(log_use.shape[0]) - entropy, 0)
