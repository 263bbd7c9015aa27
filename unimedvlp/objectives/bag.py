"""Bag-of-tokens: which tokens does the response hold? A direct, dense signal for an image encoder that starts from nothing.

After Joulin et al. (2016), who learnt visual features from the words of captions. Medical images of one kind differ little, so
the features of an untrained encoder are nearly the same for all of them; standardising them over the batch takes away what is
common, and what differs gets the gradient. The head serves training only, so no running statistics are needed.
"""

import jax
import jax.numpy as jnp

from unimedvlp.tokens.vocabulary import CLASS_START, NEG, POS, TEXT_START


def standardise(features: jax.Array, present: jax.Array) -> jax.Array:
    """Features `[B, D]` to mean 0 and deviation 1 over the rows that are `present` `[B]`, per channel; float32."""
    features = features.astype(jnp.float32)
    weight = present.astype(jnp.float32)[:, None] / jnp.maximum(present.sum(), 1)
    centred = features - (features * weight).sum(0)
    return centred / jnp.sqrt((centred**2 * weight).sum(0) + 1e-6)


def bag_targets(last_prompt: jax.Array, response: jax.Array, weights: jax.Array, vocab: int) -> dict[str, jax.Array]:
    """What the responses of a row say, from response and weights `[B, R]` and the last prompt token `[B]`.

    `words` float32 `[B, V]`: the text tokens that are said, each 1 / their number (a row without any is 0).
    `positive`, `negative` bool `[B, V]`: classes that are named, or asked for and answered POS; asked for and answered NEG.
    """
    rows = jnp.arange(len(response))[:, None]
    asked = jnp.concatenate([last_prompt[:, None], response[:, :-1]], axis=1)
    said = weights > 0

    def mark(ids: jax.Array, where: jax.Array) -> jax.Array:
        return jnp.zeros((len(response), vocab), bool).at[rows, ids].max(where)

    words = mark(response, said & (response >= TEXT_START)).astype(jnp.float32)
    named = mark(response, said & (response >= CLASS_START) & (response < TEXT_START))
    return {
        "words": words / jnp.maximum(words.sum(1, keepdims=True), 1),
        "positive": named | mark(asked, said & (response == POS)),
        "negative": mark(asked, said & (response == NEG)),
    }


def bag_loss(logits: jax.Array, targets: dict[str, jax.Array], present: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Losses of the words and of the classes, float32 scalars, for logits `[B, V]` and rows `present` `[B]`.

    Words: softmax cross-entropy over text tokens against the uniform distribution over those said, about ln V at zero logits.
    Classes: binary cross-entropy where a class is known, ln 2 at zero logits. Nothing known gives 0.
    """
    logits = logits.astype(jnp.float32)
    words = targets["words"] * present[:, None]
    each = -(words[:, TEXT_START:] * jax.nn.log_softmax(logits[:, TEXT_START:])).sum(1)
    spoken = (words.sum(1) > 0).sum()
    known = (targets["positive"] | targets["negative"]) & present[:, None]
    sign = jnp.where(targets["positive"], 1.0, -1.0)
    classes = jax.nn.softplus(-sign * logits) * known
    return each.sum() / jnp.maximum(spoken, 1), classes.sum() / jnp.maximum(known.sum(), 1)
