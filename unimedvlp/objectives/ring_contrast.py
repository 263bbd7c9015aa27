"""The losses of `contrast` for global batches that no device should hold: the same values and gradients, in a ring.

The backward pass goes round once more instead of keeping logits, so memory is linear in the local batch (see `ring`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from unimedvlp.objectives.contrast import NEVER, similarities
from unimedvlp.objectives.ring import EACH, SAME, Side, spread, total, turn

TILE = 512  # travelling rows that meet the local ones at a time


def info_nce(
    a: jax.Array,
    b: jax.Array,
    scale: jax.Array,
    *,
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
    tile: int = TILE,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """`contrast.info_nce` for a, b `[B, D]`, in tiles of at most `tile` travelling rows."""
    loss, accuracy = _info_nce(*_sides(a, b, groups, valid), jnp.float32(scale), tile)
    return loss, {"contrast_accuracy": accuracy}


def sigmoid_loss(
    a: jax.Array,
    b: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    *,
    groups: jax.Array | None = None,
    valid: jax.Array | None = None,
    tile: int = TILE,
) -> jax.Array:
    """`contrast.sigmoid_loss` for a, b `[B, D]`, in tiles of at most `tile` travelling rows."""
    return _sigmoid(*_sides(a, b, groups, valid), jnp.float32(scale), jnp.float32(bias), tile)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _info_nce(rows, visitors, scale, tile):
    return _info_nce_forward(rows, visitors, scale, tile)[0]


def _info_nce_forward(rows, visitors, scale, tile):
    def local(rows, visitors, scale, axes):
        def meet(rows, visitors):
            positive, known = _pairs(rows, visitors)
            logits = jnp.where(known, scale * similarities(rows["x"], visitors["x"]), NEVER)
            return rows | _softmax(rows, logits, positive), visitors | _softmax(visitors, logits.T, positive.T)

        sides = turn(meet, *(side | _no_softmax(side) for side in (rows, visitors)), axes, tile)
        losses, right, seen = 0, 0, []
        for side in sides:
            log_sum, count = side["top"] + jnp.log(side["sum"]), jnp.maximum(side["positives"], 1)
            losses += total(jnp.where(side["valid"], log_sum - side["target"] / count, 0), axes)
            right += total(side["valid"] & (side["best"] >= side["top"]), axes)
            seen.append({"log_sum": log_sum, "positives": count})
        examples = 2 * _examples(rows, axes)
        return (losses / examples, right / examples), seen

    result, seen = spread(local, (rows, visitors, scale), (EACH, EACH, SAME), (SAME, EACH))
    return result, (rows | seen[0], visitors | seen[1], scale)


def _info_nce_backward(tile, saved, cotangents):
    def slope(logits, positive, rows, visitors):
        to_rows = jnp.exp(logits - rows["log_sum"][:, None]) - positive / rows["positives"][:, None]
        to_visitors = jnp.exp(logits - visitors["log_sum"]) - positive / visitors["positives"]
        return (to_rows + to_visitors) / 2

    return _gradients(slope, *saved, jnp.float32(0), cotangents[0], tile)[:3]


_info_nce.defvjp(_info_nce_forward, _info_nce_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _sigmoid(rows, visitors, scale, bias, tile):
    return _sigmoid_forward(rows, visitors, scale, bias, tile)[0]


def _sigmoid_forward(rows, visitors, scale, bias, tile):
    def local(rows, visitors, scale, bias, axes):
        def meet(rows, visitors):
            positive, known = _pairs(rows, visitors)
            logits = scale * similarities(rows["x"], visitors["x"]) + bias
            losses = jnp.where(known, jax.nn.softplus(jnp.where(positive, -logits, logits)), 0)
            return rows | {"loss": rows["loss"] + losses.sum(axis=1)}, visitors

        met, _ = turn(meet, rows | {"loss": _zeros(rows)}, visitors, axes, tile)
        return total(met["loss"], axes) / _examples(rows, axes)

    saved = (rows, visitors, scale, bias)
    return spread(local, saved, (EACH, EACH, SAME, SAME), SAME), saved


def _sigmoid_backward(tile, saved, cotangent):
    def slope(logits, positive, rows, visitors):
        return jnp.where(positive, -jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits))

    return _gradients(slope, *saved, cotangent, tile)


_sigmoid.defvjp(_sigmoid_forward, _sigmoid_backward)


def _gradients(slope: Callable, rows: Side, visitors: Side, scale, bias, cotangent, tile: int):
    """Gradients of both sides, scale and bias; `slope` `[b, t]` is how the summed losses change with the logits."""

    def local(rows, visitors, scale, bias, cotangent, axes):
        def meet(rows, visitors):
            positive, known = _pairs(rows, visitors)
            similar = similarities(rows["x"], visitors["x"])
            g = jnp.where(known, slope(scale * similar + bias, positive, rows, visitors), 0)
            changed = {
                "dx": rows["dx"] + _product(g, visitors["x"]),
                "dscale": rows["dscale"] + (g * similar).sum(axis=1),
                "dbias": rows["dbias"] + g.sum(axis=1),
            }
            return rows | changed, visitors | {"dx": visitors["dx"] + _product(g.T, rows["x"])}

        first, second = ({"dx": jnp.zeros_like(side["x"], jnp.float32)} for side in (rows, visitors))
        first |= {"dscale": _zeros(rows), "dbias": _zeros(rows)}
        weight = cotangent / _examples(rows, axes)
        rows, visitors = turn(meet, rows | first, visitors | second, axes, tile)
        dx = [(weight * scale * side["dx"]).astype(side["x"].dtype) for side in (rows, visitors)]
        return dx, weight * total(rows["dscale"], axes), weight * total(rows["dbias"], axes)

    inputs = (rows, visitors, scale, bias, cotangent)
    (da, db), dscale, dbias = spread(local, inputs, (EACH, EACH, SAME, SAME, SAME), (EACH, SAME, SAME))
    nothing = {"group": None, "valid": None}
    return {"x": da} | nothing, {"x": db} | nothing, dscale, dbias


def _sides(a: jax.Array, b: jax.Array, groups: jax.Array | None, valid: jax.Array | None) -> tuple[Side, Side]:
    groups = jnp.arange(len(a)) if groups is None else groups
    valid = jnp.ones(len(a), bool) if valid is None else valid
    return {"x": a, "group": groups, "valid": valid}, {"x": b, "group": groups, "valid": valid}


def _pairs(rows: Side, visitors: Side) -> tuple[jax.Array, jax.Array]:
    """Which pairs `[b, t]` are positive, and which count at all."""
    known = rows["valid"][:, None] & visitors["valid"][None, :]
    return known & (rows["group"][:, None] == visitors["group"][None, :]), known


def _examples(rows: Side, axes: tuple[str, ...]) -> jax.Array:
    return jnp.maximum(total(rows["valid"], axes), 1)


def _zeros(side: Side) -> jax.Array:
    return jnp.zeros_like(side["valid"], jnp.float32)


def _product(g: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.matmul(g, x.astype(jnp.float32), precision="highest")


def _no_softmax(side: Side) -> Side:
    """A softmax over nothing yet: the largest logit, the sum of exponentials below it; of the positives the number, the
    sum of logits and the largest."""
    zero = _zeros(side)
    return {"top": zero + NEVER, "sum": zero, "positives": zero, "target": zero, "best": zero + NEVER}


def _softmax(side: Side, logits: jax.Array, positive: jax.Array) -> Side:
    """The softmax of a side with logits `[b, t]` added."""
    top = jnp.maximum(side["top"], logits.max(axis=1))
    return {
        "top": top,
        "sum": side["sum"] * jnp.exp(side["top"] - top) + jnp.exp(logits - top[:, None]).sum(axis=1),
        "positives": side["positives"] + positive.sum(axis=1),
        "target": side["target"] + jnp.where(positive, logits, 0).sum(axis=1),
        "best": jnp.maximum(side["best"], jnp.where(positive, logits, NEVER).max(axis=1)),
    }
