"""UniDCP's pre-training step and the same computation in PyTorch's own modules, for `benchmarks.train_step`.

Studies of two views and a text, base size or half as wide, every pass of every term but those of the prompts, which cost next to nothing; no
dropout. Theirs are `TransformerEncoder` and `TransformerDecoder` layers (SDPA inside) and the same pool of prompts. Which words and
patches are hidden is drawn beforehand there, in each step on our side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.baseline_pair import make_space
from configs.unidcp_parts import BASE, PROMPT_TERMS, TERMS
from unimedvlp import systems
from unimedvlp.tokens.vocabulary import BOS, EOS, MASK, TEXT_START

VIEWS, LENGTH, SIDE, PATCH = 2, 96, 224, 16
PROMPTS = BASE["prompts"]
SIZES = {"base": BASE["model"], "tiny": BASE["model"] | {"width": 384, "heads": 6, "mlp": 1536}}  # base takes 32 GB
COUNT = (SIDE // PATCH) ** 2
VISIBLE = COUNT - round(0.75 * COUNT)


def make_system(size: str, **model: Any) -> systems.System:
    """UniDCP of one size."""
    weights = TERMS | dict.fromkeys(PROMPT_TERMS, 0.0)
    config = {"model": SIZES[size] | {"dropout": 0.0} | model, "prompts": PROMPTS, "weights": weights}
    return systems.build({"name": "unidcp"} | config, make_space(), image_size=SIDE, views=VIEWS)


def make_batch(size: str, rows: int) -> dict[str, np.ndarray]:
    """Random pairs; the second view of every other one is absent."""
    rng, vocabulary = np.random.default_rng(0), make_space().vocabulary
    prompt = np.tile(np.array([BOS, vocabulary.task("retrieve"), vocabulary.modality("xray")], np.int32), (rows, 1))
    return {
        "image": rng.integers(0, 255, (rows, VIEWS, SIDE, SIDE, 1)).astype(np.uint8),
        "view_mask": np.arange(VIEWS) < (1 + np.arange(rows) % VIEWS)[:, None],
        "text": rng.integers(TEXT_START, vocabulary.size, (rows, LENGTH)).astype(np.int32),
        "text_mask": np.ones((rows, LENGTH), bool),
        "prompt": prompt,
        "prompt_mask": np.ones(prompt.shape, bool),
        "response": np.full((rows, 1), EOS, np.int32),
    }


def torch_inputs(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """What `Twin` is called with: images, view mask, ids, which of them are hidden, and the order of the patches."""
    rng, rows = np.random.default_rng(1), len(batch["text"])
    order = np.stack([rng.permutation(COUNT) for _ in range(rows * VIEWS)])
    hidden = rng.random(batch["text"].shape) < 0.15
    image = batch["image"].transpose(0, 1, 4, 2, 3)
    return image, batch["view_mask"], batch["text"].astype(np.int64), hidden, order


class Twin(nn.Module):
    """UniDCP's pre-training in PyTorch; returns the loss."""

    def __init__(self, size: str):
        super().__init__()
        sizes = SIZES[size]
        width, heads, mlp, small = (sizes[name] for name in ("width", "heads", "mlp", "restore_width"))
        vocabulary = make_space().vocabulary.size

        def options(width: int, heads: int, mlp: int) -> dict[str, Any]:
            shape = {"d_model": width, "nhead": heads, "dim_feedforward": mlp, "dropout": 0.0}
            return shape | {"activation": "gelu", "batch_first": True}

        def stack(depth: int, pre_norm: bool, *shape: int) -> nn.TransformerEncoder:
            one = nn.TransformerEncoderLayer(**options(*shape), norm_first=pre_norm)
            norm = nn.LayerNorm(shape[0]) if pre_norm else None
            return nn.TransformerEncoder(one, depth, norm, enable_nested_tensor=False)

        wide = width, heads, mlp
        self.table = nn.Embedding(vocabulary, width)
        self.stem = nn.Conv2d(1, width, PATCH, PATCH)
        self.image, self.text = stack(sizes["image_depth"], True, *wide), stack(sizes["text_depth"], False, *wide)
        self.restore = stack(sizes["restore_depth"], True, small, sizes["restore_heads"], 4 * small)
        self.fusion = nn.ModuleList(
            nn.ModuleList(
                [nn.TransformerDecoderLayer(**options(*wide), norm_first=True) for _ in range(2)]
                + [nn.LayerNorm(width) for _ in range(2)]
            )
            for _ in range(sizes["fusion_depth"])
        )
        slots, key = PROMPTS["slots"], PROMPTS["key_width"]
        names = (
            "image_project",
            "text_project",
            "image_pooler",
            "text_pooler",
            "words",
            "image_present",
            "text_present",
        )
        linear = {name: (width, width) for name in names}
        linear |= {"image_query": (width, key), "text_query": (width, key), "contrast": (2 * width, width)}
        linear |= {"match": (2 * width, 2), "small": (width, small), "pixels": (small, PATCH * PATCH)}
        self.linear = nn.ModuleDict({name: nn.Linear(*shape) for name, shape in linear.items()})
        norms = {"text": width, "words": width, "contrast": 2 * width, "prompts": width, "present": width}
        norms |= {"fused_image": width, "fused_text": width, "middle": width}
        self.norm = nn.ModuleDict({name: nn.LayerNorm(n) for name, n in norms.items()})
        self.refine = nn.MultiheadAttention(width, heads, batch_first=True)
        shapes = {"slots": (slots, key), "image": (slots, width), "text": (slots, width), "alpha": (1,)}
        shapes |= {"class": (1, width), "patches": (COUNT, width), "views": (VIEWS, width), "kind": (2, width)}
        shapes |= {"read": (LENGTH + 1, width), "mask": (small,), "small": (COUNT, small), "bias": (vocabulary,)}
        self.own = nn.ParameterDict({name: nn.Parameter(torch.randn(shape) * 0.02) for name, shape in shapes.items()})

    def forward(
        self, image: torch.Tensor, views: torch.Tensor, ids: torch.Tensor, hidden: torch.Tensor, order: torch.Tensor
    ) -> torch.Tensor:
        """Image uint8 [B, V, 1, H, W], views bool [B, V], ids and hidden [B, L], order [B * V, N] -> loss."""
        rows = len(ids)
        texts, asking_texts = self.read(torch.cat([ids, ids.masked_fill(hidden, MASK)]))
        said, gapped = texts.chunk(2)
        seen, seen_mask, asking_images, asks = self.see(image, views)
        alone = self.fuse(self.stand_in("image", asking_texts, None), None, texts)

        keep, restore = order[:, :VISIBLE], order.argsort(1)
        covered = torch.ones_like(order, dtype=torch.bool).scatter(1, keep, False)
        cells = covered.unflatten(1, (SIDE // PATCH, -1)).repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
        grey = image.masked_fill(cells.unflatten(0, (rows, VIEWS))[:, :, None], 128)
        pieces, pieces_mask, asking, asked = self.see(grey, views, keep)
        counted = covered & views.flatten()[:, None]
        mim = self.pixel_loss(self.fuse(pieces, pieces_mask, said), image, restore, counted)
        prompts = self.stand_in("text", asking, asked)
        umim = self.pixel_loss(self.fuse(pieces, pieces_mask, prompts), image, restore, counted)

        lonely = self.fuse(seen, seen_mask, self.stand_in("text", asking_images, asks))
        ours, theirs = self.contrasted(lonely["pooled"]), self.contrasted(alone["pooled"][:rows])
        alike = ours @ theirs.T / 0.1
        here = torch.arange(rows, device=ids.device)
        itc = (F.cross_entropy(alike, here) + F.cross_entropy(alike.T, here)) / 2
        others = alike.detach().masked_fill(torch.eye(rows, device=ids.device, dtype=torch.bool), -1e9).softmax(-1)
        text, picture = torch.multinomial(others, 1)[:, 0], torch.multinomial(others.T.contiguous(), 1)[:, 0]
        streams = torch.cat([seen, seen, seen, seen[picture]]), torch.cat([seen_mask] * 3 + [seen_mask[picture]])
        beside = self.fuse(*streams, torch.cat([gapped, said, said[text], said]))
        pairs = self.linear["match"](beside["pooled"][rows:].float())
        itm = F.cross_entropy(pairs, (torch.arange(3 * rows, device=ids.device) < rows).long())
        mlm, umlm = (self.word_loss(x, ids, hidden) for x in (beside["text"][:rows], alone["text"][rows:]))
        terms = {"mlm": mlm, "umlm": umlm, "mim": mim, "umim": umim, "itm": itm, "itc": itc}
        return sum(TERMS[name] * term for name, term in terms.items())

    def see(self, image: torch.Tensor, views: torch.Tensor, keep: torch.Tensor | None = None) -> tuple:
        """Tokens [B, V * (1 + n), D], their mask, and what asks the pool with its mask."""
        rows, _ = views.shape
        x = self.stem((image.flatten(0, 1).float() / 255 - 0.5) / 0.5).flatten(2).mT
        if keep is None:
            x, there = x.unflatten(0, (rows, VIEWS)), views[:, :, None, None].float()
            count = there.sum(0).clamp(min=1)
            mean = (x * there).sum(0) / count
            variance = ((x - mean) ** 2 * there).sum(0) / count
            x = ((x - mean) * torch.rsqrt(variance + 1e-4) * there).flatten(0, 1)
        asking, x = x, x + self.own["patches"]
        if keep is not None:
            asking, x = (y.gather(1, keep[..., None].expand(-1, -1, y.shape[-1])) for y in (asking, x))
        x = self.image(torch.cat([self.own["class"].expand(len(x), 1, -1), x], 1))
        x = (x.unflatten(0, (rows, VIEWS)) + self.own["views"][:, None]) * views[:, :, None, None]
        tokens, asking = x.flatten(1, 2), asking.unflatten(0, (rows, VIEWS)).flatten(1, 2)
        return (
            tokens,
            views.repeat_interleave(x.shape[2], 1),
            asking,
            views.repeat_interleave(asking.shape[1] // VIEWS, 1),
        )

    def read(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [B, 1 + L, D] and what asks the pool [B, L, D]."""
        begin = torch.full_like(ids[:, :1], BOS)
        x = self.table(torch.cat([begin, ids], 1)) + self.own["read"]
        return self.text(self.norm["text"](x)), x[:, 1:]

    def stand_in(self, missing: str, present: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Prompts for what is missing, through its encoder."""
        there = torch.ones_like(present[..., :1]) if mask is None else mask[..., None].float()
        mean = (present * there).sum(1) / there.sum(1).clamp(min=1)
        other = "text" if missing == "image" else "image"
        query, keys = (F.normalize(x, dim=-1) for x in (self.linear[f"{other}_query"](mean), self.own["slots"]))
        count = PROMPTS[f"{missing}_prompts"]
        top, chosen = (query @ keys.T).topk(count)
        prompts = self.own[missing][chosen] * count * (top / 0.1).softmax(-1)[..., None]
        x = self.norm["present"](self.linear[f"{missing}_present"](present))
        absent = None if mask is None else ~mask
        refined = self.refine(self.norm["prompts"](prompts), x, x, key_padding_mask=absent, need_weights=False)[0]
        prompts = prompts + self.own["alpha"] * refined
        if missing == "image":
            return self.image(torch.cat([self.own["class"].expand(len(prompts), 1, -1), prompts], 1))
        ends = self.table(torch.tensor([BOS, EOS], device=present.device)) + self.own["read"][:2]
        first, last = (end.expand(len(prompts), 1, -1) for end in ends)
        return self.text(self.norm["text"](torch.cat([first, prompts, last], 1)))

    def fuse(self, image: torch.Tensor, image_mask: torch.Tensor | None, text: torch.Tensor) -> dict[str, torch.Tensor]:
        """Both streams through co-attention, and past it."""
        seen, said = image, text
        image = self.linear["image_project"](image) + self.own["kind"][0]
        text = self.linear["text_project"](text) + self.own["kind"][1]
        absent = None if image_mask is None else ~image_mask
        for index, (for_image, for_text, image_norm, text_norm) in enumerate(self.fusion):
            image, text = (
                for_image(image, text_norm(text), tgt_key_padding_mask=absent),
                for_text(text, image_norm(image), memory_key_padding_mask=absent),
            )
            if index == len(self.fusion) // 2 - 1:
                middle = self.norm["middle"](image)
        image, text = self.norm["fused_image"](image) + seen, self.norm["fused_text"](text) + said
        there = torch.ones_like(image[..., :1]) if image_mask is None else image_mask[..., None].float()
        pooled = [
            self.linear["text_pooler"](text.mean(1)),
            self.linear["image_pooler"]((image * there).sum(1) / there.sum(1)),
        ]
        return {"text": text, "middle": middle, "pooled": torch.cat(pooled, -1).tanh()}

    def contrasted(self, pooled: torch.Tensor) -> torch.Tensor:
        """Embeddings of unit length, float32."""
        return F.normalize(self.linear["contrast"](self.norm["contrast"](pooled)).float(), dim=-1)

    def word_loss(self, text: torch.Tensor, ids: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the hidden words."""
        x = self.norm["words"](F.gelu(self.linear["words"](text[:, 1:])))
        logits = (x @ self.table.weight.T).float() + self.own["bias"]
        losses = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none")
        return (losses * hidden.flatten()).sum() / hidden.sum()

    def pixel_loss(
        self, encoded: dict[str, torch.Tensor], image: torch.Tensor, restore: torch.Tensor, covered: torch.Tensor
    ) -> torch.Tensor:
        """Squared error of the normalised pixels of covered patches."""
        x = self.linear["small"](encoded["middle"].unflatten(1, (VIEWS, -1)).flatten(0, 1)[:, 1:])
        x = torch.cat([x, self.own["mask"].to(x.dtype).expand(len(x), COUNT - x.shape[1], -1)], 1)
        x = x.gather(1, restore[..., None].expand(-1, -1, x.shape[-1])) + self.own["small"]
        pixels = self.linear["pixels"](self.restore(x).float())
        target = F.unfold(image.flatten(0, 1).float(), PATCH, stride=PATCH).mT
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True, correction=0) + 1e-6).sqrt()
        return (((pixels - target) ** 2).mean(-1) * covered).sum() / covered.sum()
