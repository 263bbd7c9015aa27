"""UniMed's loss terms in PyTorch, for `benchmarks.unimed_pair`: set criterion, coupling and the rest, of all layers at once.

Matching is scipy's, image by image, as PyTorch implementations do it. Boxes are corners unless a function says centres; objects are
not padded.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

Tensors = Mapping[str, torch.Tensor]
NO_OBJECT = 0.1


def set_criterion(
    found: Tensors, targets: Tensors, points: int, weights: Mapping[str, float]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Terms, summed over N layers, and matched queries [N, B, K].

    `found`: `class` [N, B, Q, C], `box` centres [N, B, Q, 4], optional `mask` [N, B, Q, h, w]. `targets`: `class` [B, K], `box`
    [B, K, 4], `mask` float [B, K, H, W], `has_mask` bool [B, K].
    """
    layers, rows = found["class"].shape[:2]
    found = {name: x.flatten(0, 1) for name, x in found.items()} | {"box": to_corners(found["box"]).flatten(0, 1)}
    targets = {name: x.repeat(layers, *(1,) * (x.ndim - 1)) for name, x in targets.items()}
    with torch.no_grad():
        matched = assign(match_cost(found, targets, points, weights))
    each = torch.arange(len(matched), device=matched.device)[:, None]
    own = {name: x[each, matched] for name, x in found.items()}
    classes = found["class"].shape[-1]
    labels = torch.full_like(found["class"][..., 0], classes - 1, dtype=torch.long)
    labels[each, matched] = targets["class"]
    weight = torch.where(labels == classes - 1, NO_OBJECT, 1.0)
    losses = F.cross_entropy(found["class"].flatten(0, 1), labels.flatten(), reduction="none")
    terms = {"class": mean(losses, weight.flatten())}
    if "mask" in found:
        places = uncertain_points(own["mask"].detach(), points)
        said, truth = (sample(x.flatten(0, 1)[:, None], places)[:, 0] for x in (own["mask"], targets["mask"]))
        known = targets["has_mask"].flatten()
        terms["mask"] = mean(F.binary_cross_entropy_with_logits(said, truth, reduction="none").mean(-1), known)
        terms["dice"] = mean(dice(said.sigmoid(), truth), known)
        terms["projection"] = mean(projection(own["mask"], targets["box"]).flatten(), ~known)
    terms["l1"] = distance(own["box"], targets["box"]).mean()
    terms["giou"] = 1 - giou(own["box"], targets["box"]).mean()
    return {name: term * layers for name, term in terms.items()}, matched.unflatten(0, (layers, rows))


def match_cost(found: Tensors, targets: Tensors, points: int, weights: Mapping[str, float]) -> torch.Tensor:
    """Costs [B, Q, K] of all pairs."""
    wanted = targets["class"][:, None].expand(-1, found["class"].shape[1], -1)
    cost = -weights["class"] * found["class"].softmax(-1).gather(2, wanted)
    one, other = found["box"][:, :, None], targets["box"][:, None]
    cost += weights["l1"] * distance(one, other) - weights["giou"] * giou(one, other)
    if "mask" in found:
        places = torch.rand(len(cost), points, 2, device=cost.device)
        said, truth = sample(found["mask"], places), sample(targets["mask"], places)
        bce = (F.softplus(-said) @ truth.mT + F.softplus(said) @ (1 - truth).mT) / points
        full = weights["mask"] * bce + weights["dice"] * dice(said.sigmoid()[:, :, None], truth[:, None], meet)
        sides = zip(mask_profiles(found["mask"]), box_profiles(targets["box"], found["mask"]), strict=True)
        outline = sum(dice(a[:, :, None], b[:, None], meet) for a, b in sides)
        cost += torch.where(targets["has_mask"][:, None], full, weights["projection"] * outline)
    return cost


@torch.compiler.disable
def assign(cost: torch.Tensor) -> torch.Tensor:
    """The query [B, K] of every object by the Hungarian algorithm."""
    pairs = [linear_sum_assignment(each.T)[1] for each in cost.float().cpu().numpy()]
    return torch.from_numpy(np.stack(pairs)).to(cost.device)


def coupling(logits: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mean 1 - IoU of boxes [B, K, 4] and those read softly from logits of their coordinates [B, K, 4, bins]."""
    read = logits.softmax(-1) @ torch.linspace(0, 1, logits.shape[-1], device=logits.device)
    intersection, union = overlap(read, boxes)
    return 1 - (intersection / union.clamp(min=1e-9)).mean()


def masked_pixels(predicted: torch.Tensor, image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over hidden pixels, bool [B, 1, H, W]."""
    return mean((predicted.float() - image).abs(), hidden.expand_as(image))


def refined_global(whole: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """Sum of states [B, Q, D] by the softmax of their cosine with the global one [B, D]."""
    latent = latent.float()
    likeness = F.normalize(latent, dim=-1) @ F.normalize(whole.float(), dim=-1)[..., None]
    return (likeness.softmax(1) * latent).sum(1)


def sample(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Bilinear values [B, C, P] of maps [B, C, h, w] at places [B, P, 2]."""
    grid = 2 * places.flip(-1)[:, None] - 1
    return F.grid_sample(maps, grid, align_corners=False, padding_mode="border")[:, :, 0]


def uncertain_points(logits: torch.Tensor, count: int) -> torch.Tensor:
    """Places [B * K, count, 2] where masks [B, K, h, w] are near 0, a quarter of them anywhere."""
    logits, keep = logits.flatten(0, 1)[:, None], int(0.75 * count)
    many = torch.rand(len(logits), 3 * count, 2, device=logits.device)
    chosen = (-sample(logits, many)[:, 0].abs()).topk(keep).indices[..., None]
    rest = torch.rand(len(logits), count - keep, 2, device=logits.device)
    return torch.cat([many.gather(1, chosen.expand(-1, -1, 2)), rest], 1)


def dice(one: torch.Tensor, other: torch.Tensor, product=lambda a, b: (a * b).sum(-1)) -> torch.Tensor:
    """Dice loss over the last axis."""
    return 1 - (2 * product(one, other) + 1) / (one.sum(-1) + other.sum(-1) + 1)


def meet(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Products of all pairs of [B, Q, 1, P] and [B, 1, K, P]: [B, Q, K]."""
    return one[:, :, 0] @ other[:, 0].mT


def projection(logits: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Dice of the profiles of masks [B, K, h, w] with those of boxes [B, K, 4]: [B, K]."""
    return sum(dice(*pair) for pair in zip(mask_profiles(logits), box_profiles(boxes, logits), strict=True))


def mask_profiles(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest probability of every row and of every column."""
    return logits.amax(-1).sigmoid(), logits.amax(-2).sigmoid()


def box_profiles(boxes: torch.Tensor, like: torch.Tensor) -> list[torch.Tensor]:
    """The share of every row and column of a map that boxes cover."""
    found = []
    for axis, size in enumerate(like.shape[-2:]):
        edge = torch.arange(size, device=boxes.device)
        low, high = boxes[..., axis, None] * size, boxes[..., axis + 2, None] * size
        found.append((torch.minimum(high, edge + 1) - torch.maximum(low, edge)).clamp(0, 1))
    return found


def to_corners(boxes: torch.Tensor) -> torch.Tensor:
    """Centres [..., 4] -> corners."""
    middle, size = boxes.chunk(2, -1)
    return torch.cat([middle - size / 2, middle + size / 2], -1)


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """L1 of centres and sizes [...]."""
    low, high = (one - other).chunk(2, -1)
    return ((low + high).abs() / 2 + (high - low).abs()).sum(-1)


def overlap(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Intersection and union [...]."""
    intersection = area(torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:]))
    return intersection, sum(area(*box.chunk(2, -1)) for box in (one, other)) - intersection


def giou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Generalised intersection over union [...]."""
    intersection, union = overlap(one, other)
    hull = area(torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:]))
    return intersection / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def area(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Area [...] between corners [..., 2]."""
    height, width = (high - low).clamp(min=0).unbind(-1)
    return height * width


def mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of values by weight, of the same shape."""
    return (values * weight).sum() / weight.sum()
