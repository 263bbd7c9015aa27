"""One head for every task that chooses: the classes of the registry, as a single choice or one by one.

A response that begins with a class is a choice among all classes of the registry; one that begins with POS or NEG says
whether the class that the prompt asked for is there. So the head needs no list of tasks.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from unimedvlp.objectives.bag import bag_targets
from unimedvlp.objectives.contrast import NEVER
from unimedvlp.objectives.labels import class_loss
from unimedvlp.objectives.reduce import masked_mean
from unimedvlp.tokens.vocabulary import CLASS_START, NEG, POS

Batch = Mapping[str, jax.Array]


def choice_loss(logits: jax.Array, batch: Batch, classes: int) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Cross-entropy of the classes that responses begin with, plus binary cross-entropy of those asked for one by one.

    logits `[B, C]` of which the first `classes` are registered; batch with prompt, response and response_weight. At first
    ln `classes`, or ln 2, or their sum where a batch has both; 0 where it has neither. A row may ask for several classes.
    """
    logits, response = logits[:, : max(classes, 1)].astype(jnp.float32), batch["response"]
    one = response[:, 0] - CLASS_START
    named = (one >= 0) & (one < classes) & (batch["response_weight"][:, 0] > 0)
    chosen, metrics = class_loss(logits, one, named)
    targets = bag_targets(last_prompt(batch), response, batch["response_weight"], CLASS_START + logits.shape[1])
    positive, negative = (targets[name][:, CLASS_START:] for name in ("positive", "negative"))
    asked = (positive | negative) & ~(named[:, None] & (jnp.arange(logits.shape[1]) == one[:, None]))
    present = optax.sigmoid_binary_cross_entropy(logits, positive.astype(jnp.float32))
    right = (logits > 0) == positive
    return chosen + masked_mean(present, asked), metrics | {"finding_accuracy": masked_mean(right, asked)}


def choice_logits(logits: jax.Array, batch: Batch, vocab: int) -> jax.Array:
    """Scores `[B, vocab]` of the first response token from logits `[B, C]`: each class its own; POS that of the class with
    which the prompt ends, against NEG at 0; nothing else."""
    asked = last_prompt(batch) - CLASS_START
    known = (asked >= 0) & (asked < logits.shape[1])
    score = jnp.take_along_axis(logits, jnp.where(known, asked, 0)[:, None], axis=1)[:, 0]
    scores = jnp.full((len(logits), vocab), NEVER, jnp.float32)
    scores = scores.at[:, CLASS_START : CLASS_START + logits.shape[1]].set(logits)
    return scores.at[:, POS].set(jnp.where(known, score, 0)).at[:, NEG].set(0)


def last_prompt(batch: Batch) -> jax.Array:
    """The last token `[B]` of each prompt."""
    mask = batch["prompt_mask"]
    last = mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1], axis=1)
    return jnp.take_along_axis(batch["prompt"], last[:, None], axis=1)[:, 0]
