"""The baseline system and the same computation in PyTorch's own modules, for `benchmarks.train_step`.

Studies of two views, a context, a prompt and a response, each of fixed length; the patch stem, no dropout. Theirs are
`TransformerEncoder` and `TransformerDecoder` layers (SDPA inside), the standardised image tokens, the tied table, and the three
loss terms with the targets of the bag made beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from unimedvlp import systems
from unimedvlp.objectives.bag import bag_targets
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import BOS, EOS, TEXT_START

SIZES = {
    "base": {"width": 768, "heads": 12, "mlp": 3072, "image_depth": 12, "text_depth": 6, "decoder_depth": 6},
    "tiny": {"width": 192, "heads": 6, "mlp": 768, "image_depth": 4, "text_depth": 1, "decoder_depth": 2},
}
PIXELS = {"base": 224, "tiny": 128}
VIEWS, CONTEXT, PROMPT, RESPONSE = 2, 32, 4, 96


def make_space() -> TokenSpace:
    """A vocabulary of about 5,000 ids, most of them not text."""
    return TokenSpace.create(("nodule",), text.train(["the heart is large and the lungs are clear"], size=300))


def make_system(size: str, **model: Any) -> systems.System:
    """The baseline system of one size."""
    lengths = {"max_text": CONTEXT, "max_response": PROMPT + RESPONSE, "dropout": 0.0, "stem": "patch"}
    config = {"name": "baseline", "model": SIZES[size] | lengths | model}
    return systems.build(config, make_space(), image_size=PIXELS[size], views=VIEWS)


def make_batch(size: str, rows: int) -> dict[str, np.ndarray]:
    """Random studies; the second view of every other one is absent."""
    rng, side = np.random.default_rng(0), PIXELS[size]
    words = rng.integers(TEXT_START, make_space().vocabulary.size, (rows, CONTEXT + RESPONSE)).astype(np.int32)
    response = words[:, CONTEXT:]
    response[:, -1] = EOS
    return {
        "image": rng.integers(0, 255, (rows, VIEWS, side, side, 1)).astype(np.uint8),
        "view_mask": np.arange(VIEWS) < (1 + np.arange(rows) % VIEWS)[:, None],
        "text": words[:, :CONTEXT],
        "text_mask": np.ones((rows, CONTEXT), bool),
        "prompt": np.tile(np.array([BOS, 18, 65, TEXT_START], np.int32), (rows, 1)),
        "prompt_mask": np.ones((rows, PROMPT), bool),
        "response": response,
        "target": response,
        "response_weight": np.ones((rows, RESPONSE), np.float32),
    }


def torch_inputs(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """What `Twin` is called with."""
    vocabulary = make_space().vocabulary.size
    words = bag_targets(batch["prompt"][:, -1], batch["response"], batch["response_weight"], vocabulary)["words"]
    image = batch["image"].transpose(0, 1, 4, 2, 3)
    ids = (batch[name].astype(np.int64) for name in ("text", "prompt", "response"))
    return image, batch["view_mask"], *ids, np.asarray(words)


class Twin(nn.Module):
    """The baseline in PyTorch; returns the loss."""

    def __init__(self, size: str):
        super().__init__()
        s, side = SIZES[size], PIXELS[size]
        width, self.vocabulary, patches = s["width"], make_space().vocabulary.size, (side // 16) ** 2
        layer = {"d_model": width, "nhead": s["heads"], "dim_feedforward": s["mlp"], "dropout": 0.0}
        layer |= {"activation": "gelu", "batch_first": True}

        def stack(depth: int, pre_norm: bool) -> nn.TransformerEncoder:
            one = nn.TransformerEncoderLayer(**layer, norm_first=pre_norm)
            norm = nn.LayerNorm(width) if pre_norm else None
            return nn.TransformerEncoder(one, depth, norm, enable_nested_tensor=False)

        self.table = nn.Embedding(self.vocabulary, width)
        self.stem = nn.Conv2d(1, width, 16, 16)
        self.image, self.text, self.fusion = (
            stack(s["image_depth"], True),
            stack(s["text_depth"], False),
            stack(1, True),
        )
        self.text_norm = nn.LayerNorm(width)
        one = nn.TransformerDecoderLayer(**layer, norm_first=True)
        self.decoder = nn.TransformerDecoder(one, s["decoder_depth"], nn.LayerNorm(width))
        self.bag = nn.Linear(width, width)
        lengths = {"class_token": 1, "patches": patches, "view": VIEWS, "kind": 2, "read": CONTEXT}
        lengths["written"] = PROMPT + RESPONSE
        self.places = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(n, width) * 0.02) for name, n in lengths.items()}
        )

    def see(self, image: torch.Tensor, view_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised tokens [B, V * (1 + N), D] and which exist."""
        rows, views = view_mask.shape
        x = self.stem((image.flatten(0, 1).float() / 255 - 0.5) / 0.5).flatten(2).mT + self.places["patches"]
        x = self.image(torch.cat([self.places["class_token"].expand(rows * views, 1, -1), x], 1))
        x = (x.unflatten(0, (rows, views)) + self.places["view"][:, None]).flatten(1, 2)
        mask = view_mask.repeat_interleave(x.shape[1] // views, 1)
        weight = mask[..., None].float()
        count = weight.sum(0).clamp(min=1)
        mean = (x * weight).sum(0) / count
        variance = ((x - mean) ** 2 * weight).sum(0) / count
        return (x - mean) * torch.rsqrt(variance + 1e-4) * weight, mask

    def forward(
        self,
        image: torch.Tensor,
        view_mask: torch.Tensor,
        text: torch.Tensor,
        prompt: torch.Tensor,
        response: torch.Tensor,
        words: torch.Tensor,
    ) -> torch.Tensor:
        """Image uint8 [B, V, 1, H, W], view_mask [B, V], ids [B, L], [B, P], [B, R], words [B, vocabulary] -> loss."""
        x, seen = self.see(image, view_mask)
        read = self.text(self.text_norm(self.table(text) + self.places["read"]))
        memory = torch.cat([x + self.places["kind"][0], read + self.places["kind"][1]], 1)
        absent = ~torch.cat([seen, torch.ones_like(text, dtype=torch.bool)], 1)
        memory = self.fusion(memory, src_key_padding_mask=absent)
        ids = torch.cat([prompt, response[:, :-1]], 1)
        causal = nn.Transformer.generate_square_subsequent_mask(ids.shape[1], device=ids.device) < 0
        states = self.table(ids) + self.places["written"][: ids.shape[1]]
        states = self.decoder(states, memory, tgt_mask=causal, memory_key_padding_mask=absent, tgt_is_causal=True)
        logits = (states[:, prompt.shape[1] - 1 :] @ self.table.weight.T).float()
        pooled = (x * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        pooled = (pooled - pooled.mean(0)) / (pooled.var(0, correction=0) + 1e-6).sqrt()
        bag = (self.bag(pooled) @ self.table.weight.T).float()[:, TEXT_START:]
        tokens = F.cross_entropy(logits.flatten(0, 1), response.flatten())
        return tokens - (words[:, TEXT_START:] * bag.log_softmax(-1)).sum(1).mean()
