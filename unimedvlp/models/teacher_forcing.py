"""Teacher forcing of a batch through the composed decoder."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.parallel.operations import pick

PAD_ID = 0  # as in the vocabulary


def response_states(
    decoder: ComposedDecoder,
    batch: Mapping[str, jax.Array],
    given: jax.Array,
    memory: tuple[jax.Array, jax.Array],
    deterministic: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """States [B, R, D] that say the response behind the batch's prompt, with `given` [B, R] as the tokens read so far, and
    these tokens int32 [B, P + R - 1]: the prompt with its pads before it, then the response but for its last token.

    `memory` is states [B, N, D] and their mask [B, N]. Padding of the prompt and of the response is not seen.
    """
    length = batch["prompt"].shape[1]
    ids = jnp.concatenate([batch["prompt"], given[:, :-1]], axis=1)
    mask = jnp.concatenate([batch["prompt_mask"], batch["response"][:, :-1] != PAD_ID], axis=1)
    segment = batch["segment"][:, :-1] if "segment" in batch else None
    hidden = decoder.hidden(ids, mask, *memory, segment_ids=segment, deterministic=deterministic)
    last = length - 1 - jnp.argmax(batch["prompt_mask"][:, ::-1], axis=1)  # the prompt's last token says the first
    first = pick(hidden, last[:, None])
    back = jnp.arange(length) - (length - 1 - last[:, None])
    prompt = jnp.where(back < 0, PAD_ID, jnp.take_along_axis(batch["prompt"], jnp.maximum(back, 0), axis=1))
    read = jnp.concatenate([prompt, given[:, :-1]], axis=1)
    return jnp.concatenate([first, hidden[:, length:]], axis=1), read


def response_logits(
    decoder: ComposedDecoder,
    batch: Mapping[str, jax.Array],
    given: jax.Array,
    memory: tuple[jax.Array, jax.Array],
    deterministic: bool = True,
) -> jax.Array:
    """Float32 logits [B, R, V] of the response, see `response_states`."""
    return decoder.logits(response_states(decoder, batch, given, memory, deterministic)[0])
