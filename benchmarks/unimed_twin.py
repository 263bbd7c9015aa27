"""UniMed in PyTorch: the model of `benchmarks.unimed_pair`, whose loss is in `benchmarks.unimed_twin_loss`.

Hugging Face's `SwinBackbone`, PyTorch's transformer layers, and SDPA where the mask differs by query; maps are [B, D, h, w].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import SwinBackbone, SwinConfig

from benchmarks.unimed_twin_loss import overlap, to_corners
from unimedvlp.tokens.vocabulary import COORDINATE_BINS, COORDINATE_START

Tensors = dict[str, torch.Tensor]
Places = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Model(nn.Module):
    """Encoder, text encoder and both decoders, of the sizes of `Coupled`: what `Coupled`'s methods of the same names compute."""

    def __init__(self, sizes: Mapping[str, Any], side: int, vocabulary: int):
        super().__init__()
        width, shape = sizes["width"], (sizes["width"], sizes["heads"], sizes["mlp"])
        backbone = dict(sizes["backbone"])
        if backbone.pop("name") == "conv":
            self.encoder, widths = ConvPyramid(**backbone), backbone["widths"]
        else:
            self.encoder, widths = Swin(side, **backbone), [backbone["width"] << stage for stage in range(4)]
        self.pixels = PixelDecoder(widths, *shape, sizes["pixel_depth"], sizes.get("fine", False))
        self.table = nn.Embedding(vocabulary, width)
        self.text_norm, self.text = nn.LayerNorm(width), encoder(*shape, sizes["text_depth"])
        self.name_projection = nn.Linear(width, width)
        self.objects = DecomposedDecoder(*shape, sizes["decomposed_depth"], sizes["queries"], sizes["scale"])
        self.locate, self.memory_norm = nn.Linear(2 * width, width), nn.LayerNorm(width)
        layer = nn.TransformerDecoderLayer(*shape, 0.0, "gelu", batch_first=True, norm_first=True)
        self.words = nn.TransformerDecoder(layer, sizes["composed_depth"], nn.LayerNorm(width))
        self.pointer = Pointer(width)
        self.pixel_head = nn.Linear(widths[-1], 32 * 32 * 3)
        self.label_bias = nn.Parameter(torch.zeros(()))
        lengths = {"kind": 3, "read": sizes["max_text"], "written": sizes["max_response"]}
        self.own = nn.ParameterDict({name: small(count, width) for name, count in lengths.items()})
        nn.init.normal_(self.table.weight, std=0.02)

    def look(self, image: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Image [B, 3, H, W] -> memory maps, coarsest first, and mask features."""
        return self.pixels(self.encoder(image))

    def restore(self, image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Pixels [B, 3, H, W] of an image of which blocks `hidden` bool [B, 1, H / 32, W / 32] are covered."""
        coarse = self.encoder(image.masked_fill(spread(hidden), 0))[-1]
        return F.pixel_shuffle(self.pixel_head(coarse.movedim(1, -1)).movedim(-1, 1), 32)

    def name_vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Class names, ids and mask [C, L] -> [C, D] at unit length."""
        x = self.text_norm(self.table(ids) + self.own["read"][: ids.shape[1]])
        states = self.text(x, src_key_padding_mask=~mask) * mask[..., None]
        return F.normalize(self.name_projection(states.sum(1) / mask.sum(1, keepdim=True)).float(), dim=-1)

    def recall(
        self, memory: Sequence[torch.Tensor], queries: torch.Tensor, boxes: torch.Tensor, whole: torch.Tensor
    ) -> tuple[torch.Tensor, Places]:
        """What the composed decoder sees [B, N, D]: the two coarsest maps, queries with their boxes [B, Q, 4], their sum [B, D]; and
        the places that it may point at."""
        boxes = boxes.detach()
        queries = self.located(queries, boxes)
        parts = [self.located(tokens(m), cell_boxes(m)) + self.own["kind"][0] for m in memory[:2]]
        parts += [queries + self.own["kind"][1], (whole + self.own["kind"][2])[:, None]]
        return self.memory_norm(torch.cat(parts, 1)), self.pointer.places(queries, to_corners(boxes))

    def located(self, x: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Tokens [B, n, D] with a code of the corners of their boxes [.., n, 4]."""
        return x + self.locate(sine_code(to_corners(boxes), 2 * x.shape[-1]))

    def respond(
        self, prompt: torch.Tensor, response: torch.Tensor, memory: torch.Tensor, places: Places
    ) -> torch.Tensor:
        """Logits [B, R, V] of a response [B, R] behind a prompt [B, P]."""
        ids = torch.cat([prompt, response[:, :-1]], 1)
        future = nn.Transformer.generate_square_subsequent_mask(ids.shape[1], device=ids.device) < 0
        states = self.table(ids) + self.own["written"][: ids.shape[1]]
        states = self.words(states, memory, tgt_mask=future, tgt_is_causal=True)
        last = prompt.shape[1] - 1
        states = self.pointer.look(states[:, last:], ids[:, last:], places)
        return self.pointer((states @ self.table.weight.T).float(), states, ids[:, last:], places)


class Pointer(nn.Module):
    """Mixes the choice among the coordinate tokens with those of found boxes."""

    def __init__(self, width: int):
        super().__init__()
        self.ask, self.key, self.trust = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.said, self.edge, self.seen = nn.Linear(2 * width, width), small(4, width), nn.Linear(width + 1, width)
        self.reach, self.again = nn.Parameter(torch.tensor(math.log(0.01))), nn.Parameter(torch.tensor(-5.0))

    def places(self, states: torch.Tensor, corners: torch.Tensor) -> Places:
        """Keys [B, 4 Q, D], boxes [B, Q, 4] and states [B, Q, D] of queries."""
        before = F.pad(self.coded(corners[..., :3]), (0, 0, 1, 0))
        keys = self.key(states)[:, :, None] + self.edge + before
        return keys.flatten(1, 2), corners.float(), states

    def look(self, states: torch.Tensor, ids: torch.Tensor, places: Places) -> torch.Tensor:
        """States [B, T, D] that have read ids [B, T]; those at the end of a box know its queries."""
        _, boxes, queries = places
        there, said = last_box(ids, 0)
        intersection, union = overlap(said[:, :, None], boxes[:, None])
        common = intersection / union.clamp(min=1e-9)
        read = torch.cat([(common / 0.1).softmax(-1) @ queries, common.amax(-1, keepdim=True)], -1)
        return states + self.seen(read) * there[..., None]

    def forward(self, logits: torch.Tensor, states: torch.Tensor, ids: torch.Tensor, places: Places) -> torch.Tensor:
        """Logits [B, T, V] of states [B, T, D] that have read ids [B, T]."""
        keys, boxes, _ = places
        values = boxes.flatten(1)
        asked = self.ask(states) + self.coded(coordinate(ids)) * is_coordinate(ids)[..., None]
        again = self.again * covered(ids, boxes).repeat_interleave(4, -1)
        likely = (asked @ keys.transpose(1, 2) * states.shape[-1] ** -0.5 + again).softmax(-1)
        bins = torch.linspace(0, 1, COORDINATE_BINS, device=values.device)
        near = (-(bins - values[..., None]).abs() * (-self.reach).exp()).softmax(-1)
        trust = self.trust(states.float()).sigmoid()
        pre, own, post = logits.split(
            [COORDINATE_START, COORDINATE_BINS, logits.shape[-1] - COORDINATE_START - COORDINATE_BINS], -1
        )
        mixed = (1 - trust) * own.softmax(-1) + trust * (likely @ near)
        return torch.cat([pre, own.logsumexp(-1, keepdim=True) + (mixed + 1e-9).log(), post], -1)

    def coded(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Coordinates [...] -> [..., D]."""
        return self.said(sine_code(coordinates[..., None], self.said.in_features))


class Swin(nn.Module):
    """Hugging Face's Swin with a map a stage."""

    def __init__(self, side: int, width: int, depths: Sequence[int], heads: Sequence[int], window: int, **_: Any):
        super().__init__()
        shape = {"embed_dim": width, "depths": depths, "num_heads": heads, "window_size": window, "drop_path_rate": 0.0}
        stages = [f"stage{stage + 1}" for stage in range(4)]
        self.backbone = SwinBackbone(SwinConfig(image_size=side, **shape, out_features=stages))

    def forward(self, image: torch.Tensor) -> Sequence[torch.Tensor]:
        """Image [B, 3, H, W] -> maps, finest first."""
        return self.backbone(image).feature_maps


class ConvPyramid(nn.Module):
    """The residual network with a map a stage."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int]):
        super().__init__()
        self.stem, stages = conv(3, widths[0] // 2, 3, 2), []
        for before, width, depth in zip((widths[0] // 2, *widths), widths, depths, strict=False):
            blocks = [Residual(width if i else before, width, 1 if i else 2) for i in range(depth)]
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Image [B, 3, H, W] -> maps, finest first."""
        maps = [F.relu(self.stem(image))]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.first, self.second = conv(before, width, 3, stride), conv(width, width, 3)
        self.shortcut = nn.Identity() if stride == 1 and before == width else conv(before, width, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, width, H / stride, W / stride]."""
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class PixelDecoder(nn.Module):
    """Self-attention on the coarsest map, then a feature pyramid."""

    def __init__(self, widths: Sequence[int], width: int, heads: int, mlp: int, depth: int, fine: bool):
        super().__init__()
        *finer, coarsest = widths
        self.fine, self.project, self.layers = fine, nn.Linear(coarsest, width), encoder(width, heads, mlp, depth)
        self.lateral = nn.ModuleList(conv(before, width, 1) for before in finer)
        self.smooth = nn.ModuleList(conv(width, width, 3) for _ in widths)
        self.features = nn.Conv2d(width, width, 1)

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Maps of the backbone, finest first -> memory maps, coarsest first, and mask features."""
        *finer, coarsest = maps
        x = self.project(tokens(coarsest))
        x = self.layers(x + sine_code(grid_points(coarsest), x.shape[-1])).mT.unflatten(2, coarsest.shape[2:])
        seen = [F.relu(self.smooth[-1](x))]
        for lateral, smooth, side in reversed([*zip(self.lateral, self.smooth, finer, strict=False)]):
            x = lateral(side) + F.interpolate(seen[-1], size=side.shape[2:])
            seen.append(F.relu(smooth(x)))
        return seen[1:] if self.fine else seen[:-1], self.features(seen[-1])


class DecomposedDecoder(nn.Module):
    """Latent queries that begin at the likeliest places of the memory, and a global one; every layer's outputs are kept."""

    def __init__(self, width: int, heads: int, mlp: int, depth: int, queries: int, scale: float):
        super().__init__()
        self.propose = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))
        self.proposal_heads, self.heads = Heads(width, scale, False), Heads(width, scale, True)
        self.locate = nn.Linear(2 * width, width)
        self.layers = nn.ModuleList(Layer(width, heads, mlp) for _ in range(depth))
        self.latent, self.whole, self.level = small(queries, width), small(1, width), small(3, width)
        table = F.pad(torch.ones(queries, queries, dtype=torch.bool), (0, 1, 0, 1))
        table[-1, -1] = True
        self.register_buffer("table", table)

    def forward(
        self, memory: Sequence[torch.Tensor], features: torch.Tensor, names: torch.Tensor
    ) -> tuple[Tensors, Tensors, torch.Tensor]:
        """Memory maps, mask features, names [C, D] -> outputs [N, B, Q, ...], proposals [1, B, S, ...], states [B, Q + 1, D]."""
        rows, width = len(features), features.shape[1]
        flat = [tokens(m) for m in memory]
        places = [grid_points(m) for m in memory]
        keys = [x + sine_code(p, width) + level for x, p, level in zip(flat, places, self.level, strict=True)]
        cells = torch.cat([cell_boxes(m) for m in memory])
        proposed = self.propose(torch.cat(flat, 1))
        proposals = self.proposal_heads(proposed, cells.expand(rows, -1, -1), names)
        something = -proposals["class"].detach().log_softmax(-1)[..., -1]
        best = something.topk(len(self.latent)).indices[..., None]
        boxes = proposals["box"].detach().gather(1, best.expand(-1, -1, 4))
        x = proposed.gather(1, best.expand(-1, -1, width)) + self.latent
        x = torch.cat([x, self.whole.expand(rows, 1, -1)], 1)
        outputs = [self.heads(x[:, :-1], boxes, names, features)]
        for i, layer in enumerate(self.layers):
            turn = i % len(memory)
            place = F.pad(self.locate(sine_code(outputs[-1]["box"].detach(), 2 * width)), (0, 0, 0, 1))
            seen = looked_at(outputs[-1]["mask"].detach(), memory[turn].shape[2:])
            x = layer(x, place, flat[turn], keys[turn], seen, self.table)
            outputs.append(self.heads(x[:, :-1], outputs[-1]["box"].detach(), names, features))
        stacked = {name: torch.stack([output[name] for output in outputs]) for name in outputs[0]}
        return stacked, {name: value[None] for name, value in proposals.items()}, self.heads.norm(x)


class Layer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward; post-norm."""

    def __init__(self, width: int, heads: int, mlp: int):
        super().__init__()
        self.cross, self.attention = Attention(width, heads), Attention(width, heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, mlp), nn.GELU(), nn.Linear(mlp, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: torch.Tensor, place: torch.Tensor, memory: torch.Tensor, keys: torch.Tensor, seen, table):
        """x and place [B, T, D], memory and keys [B, S, D], seen bool [B, 1, T, S], table bool [T, T] -> [B, T, D]."""
        x = self.norms[0](x + self.cross(x + place, keys, memory, seen))
        x = self.norms[1](x + self.attention(x + place, x + place, x, table))
        return self.norms[2](x + self.feed_forward(x))


class Attention(nn.Module):
    """SDPA under a mask that all heads share; `nn.MultiheadAttention` wants a copy of it for each."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.linear = heads, nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        """Queries [B, T, D], keys and values [B, S, D], mask -> [B, T, D]."""
        *given, mask = given
        split = [f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f, x in zip(self.linear, given, strict=False)]
        return self.linear[3](F.scaled_dot_product_attention(*split, attn_mask=mask).transpose(1, 2).flatten(2))


class Heads(nn.Module):
    """Class logits by likeness to names, boxes relative to a reference, and masks."""

    def __init__(self, width: int, scale: float, masks: bool):
        super().__init__()
        self.norm, self.semantic = nn.LayerNorm(width), nn.Linear(width, width)
        self.log_scale = nn.Parameter(torch.tensor(scale))
        self.box, self.mask = perceptron(width, 4), perceptron(width, width) if masks else None
        for last in self.box[-1].parameters():
            nn.init.zeros_(last)

    def forward(self, x: torch.Tensor, reference: torch.Tensor, names: torch.Tensor, features=None) -> Tensors:
        """x [B, Q, D], reference [B, Q, 4], names [C, D] -> `class` [B, Q, C], `box` [B, Q, 4], `mask` [B, Q, h, w]."""
        x = self.norm(x)
        box = (self.box(x).float() + torch.logit(reference, 1e-4)).sigmoid()
        found = {"class": self.compare(x, names), "box": box}
        if features is not None:
            found["mask"] = (self.mask(x) @ features.flatten(2)).unflatten(2, features.shape[2:]).float()
        return found

    def compare(self, x: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
        """Likeness of states [..., D] to names [C, D]: [..., C]."""
        return self.log_scale.exp().clamp(max=100) * (F.normalize(self.semantic(x).float(), dim=-1) @ names.T)


def looked_at(logits: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Where mask logits [B, Q, h, w] are positive in a map of another size, or everywhere: [B, 1, Q + 1, S], the last all."""
    resized = F.interpolate(logits, size=size, mode="bilinear", antialias=True).flatten(2)
    inside = F.pad(resized, (0, 0, 0, 1), value=1.0) > 0
    return (inside | ~inside.any(-1, keepdim=True))[:, None]


def is_coordinate(ids: torch.Tensor) -> torch.Tensor:
    """Whether tokens are coordinates."""
    return (ids >= COORDINATE_START) & (ids < COORDINATE_START + COORDINATE_BINS)


def coordinate(ids: torch.Tensor) -> torch.Tensor:
    """Coordinate tokens as 0..1."""
    return (ids - COORDINATE_START) / (COORDINATE_BINS - 1)


def last_box(ids: torch.Tensor, ago: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether `ago` tokens before each of T [B, T] four coordinates and no fifth had been said, and these [B, T, 4]."""
    back = [F.pad(ids, (n, 0))[:, : ids.shape[1]] for n in range(ago, ago + 5)]
    there = torch.stack([is_coordinate(x) for x in back[:4]]).all(0) & ~is_coordinate(back[4])
    return there, coordinate(torch.stack(back[3::-1], -1))


def covered(ids: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """How far the boxes said up to each of T tokens [B, T] cover Q boxes: [B, T, Q]."""
    there, said = last_box(ids, 1)
    intersection, union = overlap(said[:, :, None], boxes[:, None])
    closes = there & ~is_coordinate(ids)
    return (intersection / union.clamp(min=1e-9) * closes[..., None]).cummax(1).values


def sine_code(values: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines [..., width] of n coordinates [..., n]."""
    count = width // values.shape[-1] // 2
    frequencies = 2 * math.pi * 10_000 ** (-torch.arange(count, device=values.device) / count)
    angles = values[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def grid_points(like: torch.Tensor) -> torch.Tensor:
    """Centres [h * w, 2] of the cells of a map [B, D, h, w]."""
    y, x = ((torch.arange(n, device=like.device) + 0.5) / n for n in like.shape[2:])
    return torch.cartesian_prod(y, x)


def cell_boxes(like: torch.Tensor) -> torch.Tensor:
    """Boxes (centres) [h * w, 4] of two cells around each cell of a map [B, D, h, w]."""
    points = grid_points(like)
    return torch.cat([points, points.new_tensor([2 / n for n in like.shape[2:]]).expand_as(points)], 1)


def tokens(x: torch.Tensor) -> torch.Tensor:
    """A map [B, D, h, w] as [B, h * w, D]."""
    return x.flatten(2).mT


def spread(blocks: torch.Tensor) -> torch.Tensor:
    """Blocks bool [B, 1, h, w] as pixels [B, 1, 32 h, 32 w]."""
    return blocks.repeat_interleave(32, 2).repeat_interleave(32, 3)


def encoder(width: int, heads: int, mlp: int, depth: int) -> nn.TransformerEncoder:
    """Post-norm layers."""
    layer = nn.TransformerEncoderLayer(width, heads, mlp, 0.0, "gelu", batch_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


def conv(before: int, width: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and GroupNorm."""
    return nn.Sequential(
        nn.Conv2d(before, width, size, stride, size // 2, bias=False), nn.GroupNorm(width // 16, width)
    )


def perceptron(width: int, out: int) -> nn.Sequential:
    """Three linear layers."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


def small(*shape: int) -> nn.Parameter:
    """A learned table."""
    return nn.Parameter(torch.randn(shape) * 0.02)
