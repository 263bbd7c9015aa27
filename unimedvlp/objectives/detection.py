"""The set criterion: every object is matched to a query of its own, and each layer's predictions are scored.

Form and numbers follow the public code of X-Decoder and Mask2Former, which UniMed's decomposed decoder resembles (its
own are not published): matching by class probability, mask and dice on sampled points, box distance; losses on all
layers, summed. Box-only objects teach masks by projections and images without annotations teach nothing: our
reconstruction.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from unimedvlp import boxes
from unimedvlp.objectives import masks
from unimedvlp.objectives.assignment import assign
from unimedvlp.objectives.reduce import masked_mean
from unimedvlp.parallel.operations import pick

Arrays = Mapping[str, jax.Array]

WEIGHTS = {"class": 2.0, "mask": 5.0, "dice": 5.0, "projection": 5.0, "l1": 5.0, "giou": 2.0}
NO_OBJECT = 0.1


def set_criterion(
    predictions: Arrays, targets: Arrays, rng: jax.Array, *, points: int = 12544, weights: Mapping[str, float] = WEIGHTS
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Unweighted loss terms, summed over the N layers, and the queries matched to the objects, `[N, B, K]` int32.

    Args:
      predictions: `class` logits `[N, B, Q, C + 1]`, the last for "no object"; optional `mask` logits
        `[N, B, Q, H, W]`; optional `box` corners `[N, B, Q, 4]`.
      targets: `class` int32 `[B, K]`, `box` `[B, K, 4]`, `object_mask` bool `[B, K]`; with mask predictions also `mask`
        `[B, K, h, w]` (0 or 1) and `has_mask` bool `[B, K]`, False for objects of which only the box is known; optional
        `annotated` bool `[B]`, False for images whose objects nobody has marked (True with no object is a negative).
      points: sampled points a mask.
      weights: of the matching costs, by the names of the terms.

    Terms: `class`; with masks `mask`, `dice`, `projection`; with boxes `l1`, `giou` (1 - GIoU). Means over objects of
    the whole batch, 0 where there are none. Padded objects are matched to Q. With all class logits equal, `class` is
    N ln(C + 1).
    """
    layers = predictions["class"].shape[0]
    rngs = jax.random.split(rng, (2, layers))
    costs = jax.lax.map(lambda layer: _cost(*layer, targets, points, weights), (predictions, rngs[0]))
    batch, objects = targets["object_mask"].shape
    flat = costs.reshape(layers * batch, *costs.shape[2:])
    matched = assign(flat, jnp.tile(targets["object_mask"], (layers, 1))).reshape(layers, batch, objects)
    terms = jax.lax.map(lambda layer: _losses(*layer, targets, points), (predictions, matched, rngs[1]))
    return jax.tree.map(lambda term: term.sum(axis=0), terms), matched


def _cost(predicted: Arrays, rng: jax.Array, targets: Arrays, points: int, weights: Mapping[str, float]) -> jax.Array:
    """Cost `[B, Q, K]` of one layer, without gradient."""
    predicted = jax.lax.stop_gradient(predicted)
    probabilities = jax.nn.softmax(predicted["class"].astype(jnp.float32))
    batch, queries, _ = probabilities.shape
    objects = targets["class"].shape[1]
    wanted = jnp.broadcast_to(targets["class"][:, None, :], (batch, queries, objects))
    cost = -weights["class"] * jnp.take_along_axis(probabilities, wanted, axis=-1, mode="clip")
    if "mask" in predicted:
        places = jax.random.uniform(rng, (batch, points, 2))
        logits = masks.sample_points(predicted["mask"], places)
        truth = masks.sample_points(targets["mask"], places)
        full = weights["mask"] * masks.pairwise_bce(logits, truth)
        full += weights["dice"] * masks.pairwise_dice(jax.nn.sigmoid(logits), truth)
        outline = weights["projection"] * masks.pairwise_projection(predicted["mask"], targets["box"])
        cost += jnp.where(targets["has_mask"][:, None, :], full, outline)
    if "box" in predicted:
        pair = predicted["box"].astype(jnp.float32), targets["box"]
        cost += weights["l1"] * boxes.pairwise(boxes.l1, *pair) - weights["giou"] * boxes.pairwise(boxes.giou, *pair)
    return cost


def _losses(
    predicted: Arrays, matched: jax.Array, rng: jax.Array, targets: Arrays, points: int
) -> dict[str, jax.Array]:
    """Terms of one layer, given the queries `[B, K]` of its objects."""
    real = targets["object_mask"]
    terms = {"class": _class_loss(predicted["class"], matched, targets)}
    if "mask" in predicted:
        logits = pick(predicted["mask"], matched)
        known = real & targets["has_mask"]
        places = _places(rng, logits, known, points)
        truth = masks.sample_points(targets["mask"][:, :, None], places)[..., 0]
        at_points = masks.sample_points(logits[:, :, None], places)[..., 0]
        terms["mask"] = masked_mean(masks.point_bce(at_points, truth), known)
        terms["dice"] = masked_mean(masks.dice(jax.nn.sigmoid(at_points), truth), known)
        terms["projection"] = masked_mean(masks.projection(logits, targets["box"]), real & ~targets["has_mask"])
    if "box" in predicted:
        pair = pick(predicted["box"], matched).astype(jnp.float32), targets["box"]
        terms["l1"] = masked_mean(boxes.l1(*pair), real)
        terms["giou"] = masked_mean(1 - boxes.giou(*pair), real)
    return terms


def _places(rng: jax.Array, logits: jax.Array, known: jax.Array, points: int) -> jax.Array:
    """Points `[B, K, P, 2]` near the outlines of masks `[B, K, H, W]`, for one object of every image after the other.

    It ends with the last object whose mask is `known` (bool `[B, K]`) in any image, and leaves 0 behind it: most objects are
    padding or have a box alone.
    """
    objects = known.shape[1]

    def choose(slot: jax.Array, places: jax.Array) -> jax.Array:
        found = masks.uncertain_points(jax.random.fold_in(rng, slot), logits[:, slot], points)
        return places.at[:, slot].set(found)

    logits = jax.lax.stop_gradient(logits)
    count = jnp.where(known.any(axis=0), jnp.arange(1, objects + 1), 0).max()
    return jax.lax.fori_loop(0, count, choose, jnp.zeros((*known.shape, points, 2)))


def _class_loss(logits: jax.Array, matched: jax.Array, targets: Arrays) -> jax.Array:
    """Cross-entropy of every query of annotated images; queries without an object weigh `NO_OBJECT`."""
    batch, queries, classes = logits.shape
    image = jnp.arange(batch)[:, None]
    labels = jnp.full((batch, queries), classes - 1).at[image, matched].set(targets["class"], mode="drop")
    weight = jnp.full((batch, queries), NO_OBJECT).at[image, matched].set(1.0, mode="drop")
    if "annotated" in targets:
        weight *= targets["annotated"][:, None]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
    return masked_mean(losses, weight)
