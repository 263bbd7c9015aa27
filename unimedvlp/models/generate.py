"""Writing with a decoder: greedy, nucleus sampling and beam search, of static shape, so each shape compiles once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from unimedvlp.errors import UserError
from unimedvlp.models.beam import beam_search
from unimedvlp.models.cache import Cache
from unimedvlp.models.guidance import Guide, guided

Extend = Callable[[jax.Array, jax.Array, Cache], tuple[jax.Array, Cache]]


class Grammar(Protocol):
    """Which tokens may come next: a pure automaton over a pytree of states, one row per sequence.

    A state must always allow at least one id; `next` is also called with pads after the end.
    """

    def start(self, batch: int) -> Any:
        """The state of `batch` sequences that have not begun."""

    def __call__(self, state: Any) -> jax.Array:
        """bool [B, vocab]: the ids that may come next."""

    def next(self, state: Any, token: jax.Array) -> Any:
        """The state after token int32 [B]."""


@dataclass(frozen=True)
class Greedy:
    """Always the likeliest token."""


@dataclass(frozen=True)
class TopP:
    """Sample among the likeliest tokens that together hold probability `p` (Holtzman et al., 2020)."""

    p: float = 0.9
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1 or self.temperature <= 0:
            raise UserError(f"{self}: p must lie in (0, 1] and temperature above 0")


@dataclass(frozen=True)
class Beam:
    """Keep the `size` best hypotheses; the result is the best by log-probability / length ** length_penalty."""

    size: int = 4
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.length_penalty < 0:
            raise UserError(f"{self}: size must be at least 1 and length_penalty at least 0")


Method = Greedy | TopP | Beam


class _Loop(NamedTuple):
    step: jax.Array
    token: jax.Array
    ids: jax.Array
    score: jax.Array
    done: jax.Array
    cache: Cache
    state: Any


def generate(
    extend: Extend,
    cache: Cache,
    prompt: jax.Array,
    prompt_mask: jax.Array,
    *,
    max_new: int,
    method: Method,
    rng: jax.Array | None = None,
    eos: int = 2,
    pad: int = 0,
    allowed: Grammar | None = None,
    guide: Guide | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Continue prompt int32 [B, P] (prompt_mask bool [B, P], pads on any side) -> (ids [B, max_new], scores [B]).

    `extend(ids, mask, cache)` is the decoder's bound function and `cache` a fresh one of at least P + max_new slots.
    After `eos` comes only `pad`; the loop ends when every row has ended. Scores are sums of the model's float32
    log-probabilities, the eos included, before temperature, nucleus or grammar; Beam divides by length ** length_penalty.
    """
    if cache.length < prompt.shape[1] + max_new:
        raise UserError(
            f"a cache of {cache.length} tokens is too short for {prompt.shape[1]} + {max_new}: start it longer"
        )
    if guide is not None:
        extend, cache = guided(extend, cache, guide)
    if isinstance(method, TopP) and rng is None:
        raise UserError("method TopP samples: give it rng")
    logits, cache = extend(prompt, prompt_mask, cache)
    last = prompt.shape[1] - 1 - jnp.argmax(prompt_mask[:, ::-1], axis=1)
    logits = jnp.take_along_axis(logits, last[:, None, None], axis=1)[:, 0]
    if isinstance(method, Beam):
        return beam_search(extend, cache, logits, max_new, method.size, method.length_penalty, eos, pad, allowed)
    return _one_by_one(extend, cache, logits, max_new, method, rng, eos, pad, allowed)


def respond(
    start: Callable[[int], Cache],
    extend: Extend,
    batch: Mapping[str, Any],
    rng: jax.Array,
    method: Method,
    length: int,
    allowed: Grammar | None,
) -> jax.Array:
    """Response ids [B, length] to the prompts of a batch, with its guide if it has one; `start` makes a cache of so many slots."""
    prompt = batch["prompt"], batch["prompt_mask"]
    given = {"max_new": length, "method": method, "rng": rng, "allowed": allowed, "guide": batch.get("guide")}
    return generate(extend, start(prompt[0].shape[1] + length), *prompt, **given)[0]


def _one_by_one(extend, cache, logits, max_new, method, rng, eos, pad, allowed):
    """Greedy and sampling: logits [B, vocab] of the first token -> (ids [B, max_new], scores [B])."""
    batch = logits.shape[0]

    def choose(logits: jax.Array, loop: _Loop) -> _Loop:
        log_probs = jax.nn.log_softmax(logits)
        possible = log_probs if allowed is None else jnp.where(allowed(loop.state), log_probs, -jnp.inf)
        if isinstance(method, TopP):
            key = jax.random.fold_in(rng, loop.step)
            token = jax.random.categorical(key, nucleus(possible / method.temperature, method.p))
        else:
            token = jnp.argmax(possible, axis=-1)
        token = jnp.where(loop.done, pad, token).astype(jnp.int32)
        gain = jnp.take_along_axis(log_probs, token[:, None], axis=1)[:, 0]
        return loop._replace(
            step=loop.step + 1,
            token=token,
            ids=loop.ids.at[:, loop.step].set(token),
            score=loop.score + jnp.where(loop.done, 0, gain),
            done=loop.done | (token == eos),
            state=None if allowed is None else allowed.next(loop.state, token),
        )

    def turn(loop: _Loop) -> _Loop:
        logits, cache = extend(loop.token[:, None], ~loop.done[:, None], loop.cache)
        return choose(logits[:, 0], loop._replace(cache=cache))

    loop = _Loop(
        step=jnp.int32(0),
        token=jnp.full((batch,), pad, jnp.int32),
        ids=jnp.full((batch, max_new), pad, jnp.int32),
        score=jnp.zeros((batch,), jnp.float32),
        done=jnp.zeros((batch,), bool),
        cache=cache,
        state=None if allowed is None else allowed.start(batch),
    )
    loop = jax.lax.while_loop(lambda x: (x.step < max_new) & ~x.done.all(), turn, choose(logits, loop))
    return loop.ids, loop.score


def nucleus(logits: jax.Array, p: float) -> jax.Array:
    """Logits [B, vocab] with -inf outside the smallest set of likeliest tokens that holds probability p."""
    probs = jax.nn.softmax(logits)
    ordered = jnp.sort(probs, axis=-1, descending=True)
    before = jnp.cumsum(ordered, axis=-1) - ordered
    least = jnp.min(jnp.where(before < p, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(probs >= least, logits, -jnp.inf)
