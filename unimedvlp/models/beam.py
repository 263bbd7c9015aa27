"""Beam search over a cached decoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from unimedvlp.models.cache import Cache


class _Loop(NamedTuple):
    """K live hypotheses and the best finished one of every example."""

    step: jax.Array
    ids: jax.Array  # [B, K, max_new]
    score: jax.Array  # [B, K] sums of log-probabilities, -inf where there is no hypothesis
    best_ids: jax.Array  # [B, max_new]
    best_score: jax.Array  # [B] normalised
    finished: jax.Array  # [B] how many hypotheses have ended
    done: jax.Array  # [B]
    cache: Cache  # rows of [B * K]
    state: Any  # of the grammar, rows of [B * K]


def beam_search(extend, cache, logits, max_new, size, length_penalty, eos, pad, allowed):
    """From logits [B, vocab] of the first token -> (ids [B, max_new], normalised scores [B]); see `generate`.

    Each turn ranks all continuations. Those among the first K that end are finished; the best K that do not go on. An
    example is done when none alive can overtake the best finished one, or when K have finished and none alive is ahead of
    the best of them at its present length (as Hugging Face's `generate` does). With K = 1 this is greedy decoding; with K
    as large as the number of sequences it is exact.
    """
    batch, vocab = logits.shape
    width = min(2 * size, size * vocab)
    first_row = jnp.arange(batch)[:, None] * size

    def expand(logits: jax.Array, loop: _Loop) -> _Loop:
        log_probs = jax.nn.log_softmax(logits)
        if allowed is not None:
            log_probs = jnp.where(allowed(loop.state), log_probs, -jnp.inf)
        total = loop.score[:, :, None] + log_probs.reshape(batch, size, vocab)
        score, flat = jax.lax.top_k(total.reshape(batch, -1), width)
        parent, token = flat // vocab, (flat % vocab).astype(jnp.int32)
        ends = token == eos
        length = (loop.step + 1).astype(jnp.float32)

        finishes = ends & (jnp.arange(width) < size) & jnp.isfinite(score) & ~loop.done[:, None]
        final = jnp.where(finishes, score / length**length_penalty, -jnp.inf)
        loop = _keep_best(loop, final, parent, token)

        score, alive = jax.lax.top_k(jnp.where(ends, -jnp.inf, score), size)
        parent, token = (jnp.take_along_axis(x, alive, axis=1) for x in (parent, token))
        rows = (first_row + parent).reshape(-1)
        state = jax.tree.map(lambda x: x[rows], loop.state)
        finished = loop.finished + finishes.sum(1)
        hopeless = loop.best_score >= score[:, 0] / max_new**length_penalty
        behind = loop.best_score >= score[:, 0] / length**length_penalty
        return loop._replace(
            step=loop.step + 1,
            ids=_written(loop, parent, token),
            score=score,
            finished=finished,
            done=loop.done | ((finished >= size) & behind) | hopeless,
            cache=loop.cache.reorder(rows),
            state=None if allowed is None else allowed.next(state, token.reshape(-1)),
        )

    def turn(loop: _Loop) -> _Loop:
        token = jnp.take(loop.ids, loop.step - 1, axis=2).reshape(-1, 1)
        logits, cache = extend(token, jnp.ones_like(token, bool), loop.cache)
        return expand(logits[:, 0], loop._replace(cache=cache))

    loop = _Loop(
        step=jnp.int32(0),
        ids=jnp.full((batch, size, max_new), pad, jnp.int32),
        score=jnp.full((batch, size), -jnp.inf).at[:, 0].set(0.0),
        best_ids=jnp.full((batch, max_new), pad, jnp.int32),
        best_score=jnp.full((batch,), -jnp.inf),
        finished=jnp.zeros((batch,), jnp.int32),
        done=jnp.zeros((batch,), bool),
        cache=cache.repeat(size),
        state=None if allowed is None else allowed.start(batch * size),
    )
    loop = expand(jnp.repeat(logits, size, axis=0), loop)
    loop = jax.lax.while_loop(lambda x: (x.step < max_new) & ~x.done.all(), turn, loop)
    unfinished = jnp.where(loop.done, -jnp.inf, loop.score[:, 0] / max_new**length_penalty)
    better = unfinished > loop.best_score
    ids = jnp.where(better[:, None], loop.ids[:, 0], loop.best_ids)
    return ids, jnp.where(better, unfinished, loop.best_score)


def _written(loop: _Loop, parent: jax.Array, token: jax.Array) -> jax.Array:
    """The hypotheses `parent` [B, n] with `token` [B, n] at the current step: [B, n, max_new]."""
    return jnp.take_along_axis(loop.ids, parent[:, :, None], axis=1).at[:, :, loop.step].set(token)


def _keep_best(loop: _Loop, final: jax.Array, parent: jax.Array, token: jax.Array) -> _Loop:
    """Let the best of the finished continuations, by `final` [B, n], replace the best so far where it is better."""
    top = jnp.argmax(final, axis=1)[:, None]
    score, parent, token = (jnp.take_along_axis(x, top, axis=1) for x in (final, parent, token))
    better = score[:, 0] > loop.best_score
    ids = jnp.where(better[:, None], _written(loop, parent, token)[:, 0], loop.best_ids)
    return loop._replace(best_ids=ids, best_score=jnp.where(better, score[:, 0], loop.best_score))
