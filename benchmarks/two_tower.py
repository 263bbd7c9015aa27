"""Two towers, ViT-B/16 and BERT-base, under InfoNCE (CLIP, Radford et al., 2021): ours, and in Hugging Face modules.

Used by `benchmarks.train_step`. Both compute the same: 224-pixel images, 128 tokens, 768-wide towers, a projection to 512
of the class token, a learned temperature, float32 logits.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.models.layers import dense
from unimedvlp.models.text_encoder import TextEncoder
from unimedvlp.models.vit import ViT
from unimedvlp.objectives.contrast import logit_scale, unit
from unimedvlp.objectives.ring_contrast import info_nce

SIZES = {
    "base": {"width": 768, "depth": 12, "heads": 12, "mlp": 3072},
    "tiny": {"width": 64, "depth": 2, "heads": 4, "mlp": 128},
}
PIXELS, TOKENS, VOCABULARY, SHARED = 224, 128, 30_522, 512


class Towers(nn.Module):
    """Both encoders: (image `[B, H, W, 3]`, ids `[B, L]`, mask `[B, L]`) -> two embeddings `[B, 512]`, and the scale."""

    size: str = "base"
    dtype: Any = jnp.float32
    implementation: str = "xla"
    remat: str = "none"

    @nn.compact
    def __call__(self, image: jax.Array, ids: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Embeddings `[B, 512]` of unit length, and the scale of their products."""
        options = {**SIZES[self.size], "dtype": self.dtype, "implementation": self.implementation}
        options |= {"remat": self.remat}
        seen = ViT((PIXELS, PIXELS), 16, **options, name="image")(image)[:, 0]
        read = TextEncoder(VOCABULARY, max_length=512, **options, name="text")(ids, mask)[:, 0]
        scale = self.param("scale", nn.initializers.constant(np.log(1 / 0.07)), ())
        a, b = (dense(SHARED, ("embed", None), self.dtype, f"project_{n}")(x) for n, x in enumerate((seen, read)))
        return unit(a), unit(b), logit_scale(scale)


@dataclasses.dataclass(frozen=True)
class TwoTower:
    """The towers as a system of the training loop."""

    model: Towers

    def init(self, rng: jax.Array, batch: Any) -> Any:
        """Parameters, boxed with their logical axis names."""
        return self.model.init(rng, batch["image"], batch["text"], batch["text_mask"])["params"]

    def loss(self, params: Any, batch: Any, rng: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """InfoNCE over the whole batch."""
        return info_nce(*self.model.apply({"params": params}, batch["image"], batch["text"], batch["text_mask"]))


def make_batch(size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of random images and texts; half of the texts are shorter than 128 tokens."""
    rng = np.random.default_rng(seed)
    lengths = np.where(np.arange(size) % 2, TOKENS, 3 * TOKENS // 4)
    return {
        "image": rng.normal(size=(size, PIXELS, PIXELS, 3)).astype(np.float32),
        "text": rng.integers(0, VOCABULARY, (size, TOKENS)).astype(np.int32),
        "text_mask": np.arange(TOKENS) < lengths[:, None],
    }


def torch_inputs(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """What the PyTorch towers are called with."""
    return batch["image"].transpose(0, 3, 1, 2), *(batch[name].astype(np.int64) for name in ("text", "text_mask"))


def torch_towers(size: str) -> Any:
    """The same in PyTorch: `ViTModel` and `BertModel` with SDPA; (image, ids, mask) -> loss."""
    import torch
    from transformers import BertConfig, BertModel, ViTConfig, ViTModel

    sizes = SIZES[size]
    common = {
        "hidden_size": sizes["width"],
        "num_hidden_layers": sizes["depth"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["mlp"],
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "attn_implementation": "sdpa",
    }

    class TorchTowers(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image = ViTModel(ViTConfig(image_size=PIXELS, patch_size=16, **common), add_pooling_layer=False)
            self.text = BertModel(BertConfig(vocab_size=VOCABULARY, **common), add_pooling_layer=False)
            self.project = torch.nn.ModuleList(torch.nn.Linear(sizes["width"], SHARED) for _ in range(2))
            self.scale = torch.nn.Parameter(torch.tensor(float(np.log(1 / 0.07))))

        def forward(self, image: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            seen = self.image(pixel_values=image).last_hidden_state[:, 0]
            read = self.text(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
            a, b = (p(x).float() for p, x in zip(self.project, (seen, read), strict=True))
            a, b = (torch.nn.functional.normalize(x, dim=-1) for x in (a, b))
            logits = self.scale.exp().clamp(max=100) * a @ b.T
            target = torch.arange(len(logits), device=logits.device)
            entropy = torch.nn.functional.cross_entropy
            return (entropy(logits, target) + entropy(logits.T, target)) / 2

    return TorchTowers()
