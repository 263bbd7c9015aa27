"""Our `ViT` and Hugging Face's ViTModel (google/vit-base-patch16-224 and its kin), without its pooler.

There the class token has a position of its own; here the two are one parameter, so an exported position is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.interop.layout import SAME, Rule, State, block_rules, export, norm_rules, restore, stem_rules
from unimedvlp.models.vit import ViT

_PARTS = {
    "query": "attention.attention.query",
    "key": "attention.attention.key",
    "value": "attention.attention.value",
    "out": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "up": "intermediate.dense",
    "down": "output.dense",
    "feed_forward_norm": "layernorm_after",
}
_CLASS, _POSITIONS = "embeddings.cls_token", "embeddings.position_embeddings"


def config(model: ViT, channels: int = 3) -> dict[str, Any]:
    """The `config.json` of a ViT with a patch stem and square images."""
    return {
        "model_type": "vit",
        "architectures": ["ViTModel"],
        "hidden_size": model.width,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "intermediate_size": model.mlp,
        "hidden_act": "gelu",
        "layer_norm_eps": model.eps,
        "image_size": model.image_size[0],
        "patch_size": model.patch,
        "num_channels": channels,
    }


def to_state(model: ViT, params: Mapping[str, Any]) -> State:
    """The state dict of unboxed parameters."""
    state = export(params, _rules(model))
    positions = state[_POSITIONS]
    state[_POSITIONS] = np.concatenate([np.zeros_like(positions[:1]), positions])[None]
    state[_CLASS] = state[_CLASS][None]
    return state


def from_state(model: ViT, state: Mapping[str, np.ndarray], channels: int = 3) -> dict[str, Any]:
    """The parameters of a state dict."""
    state = dict(state)
    if {_CLASS, _POSITIONS} <= set(state):
        state[_CLASS] = state[_CLASS][0] + state[_POSITIONS][0, :1]
        state[_POSITIONS] = state[_POSITIONS][0, 1:]
    image = jnp.zeros((1, *model.image_size, channels))
    like = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    return restore(state, _rules(model), like)


def _rules(model: ViT) -> list[Rule]:
    return [
        *stem_rules("stem/project", "embeddings.patch_embeddings.projection", model.patch),
        Rule("class_token", _CLASS, SAME),
        Rule("positions", _POSITIONS, SAME),
        *block_rules("layers/block", "encoder.layer.{}", range(model.depth), _PARTS),
        *norm_rules("layers/norm", "layernorm"),
    ]
