"""Our `Swin` and Hugging Face's SwinModel, without its pooler; the norms of the first three maps as SwinBackbone names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.interop.layout import INTO, SAME, Rule, State, block_rules, export, norm_rules, restore, stem_rules
from unimedvlp.models.backbone import STRIDES
from unimedvlp.models.swin import EPS, PATCH, Swin

_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "layernorm_before",
    "up": "intermediate.dense",
    "down": "output.dense",
    "feed_forward_norm": "layernorm_after",
}


def config(model: Swin, image_size: int = 224, channels: int = 3) -> dict[str, Any]:
    """The `config.json` of a Swin."""
    return {
        "model_type": "swin",
        "architectures": ["SwinModel"],
        "image_size": image_size,
        "patch_size": PATCH,
        "num_channels": channels,
        "embed_dim": model.width,
        "depths": list(model.depths),
        "num_heads": list(model.heads),
        "window_size": model.window,
        "mlp_ratio": model.mlp,
        "hidden_act": "gelu",
        "layer_norm_eps": EPS,
    }


def to_state(model: Swin, params: Mapping[str, Any]) -> State:
    """The state dict of unboxed parameters."""
    return export(params, _rules(model))


def from_state(model: Swin, state: Mapping[str, np.ndarray], channels: int = 3) -> dict[str, Any]:
    """The parameters of a state dict; norms of maps that it does not have (SwinModel knows the last only) leave as is."""
    defaults = {}
    for stage in range(len(model.depths) - 1):
        width = model.width * 2**stage
        defaults |= {f"{_norm(stage)}.weight": np.ones(width), f"{_norm(stage)}.bias": np.zeros(width)}
    image = jnp.zeros((1, STRIDES[-1], STRIDES[-1], channels))
    like = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    return restore({**defaults, **state}, _rules(model), like)


def _norm(stage: int) -> str:
    return f"hidden_states_norms.stage{stage + 1}"


def _rules(model: Swin) -> list[Rule]:
    rules = [
        *stem_rules("stem/project", "embeddings.patch_embeddings.projection", PATCH),
        *norm_rules("stem_norm", "embeddings.norm"),
    ]
    last = len(model.depths) - 1
    for stage, depth in enumerate(model.depths):
        there = f"encoder.layers.{stage}"
        for first, kind in enumerate(("plain", "shifted")):
            here, layers = f"stage_{stage}/{kind}", range(first, depth, 2)
            rules += [
                rule._replace(here=rule.here.replace("/attention/", "/attention/heads/"))
                for rule in block_rules(here, f"{there}.blocks.{{}}", layers, _PARTS)
            ]
            table = f"{there}.blocks.{{}}.attention.self.relative_position_bias_table"
            rules.append(Rule(f"{here}/attention/relative", table, SAME, layers))
        rules += norm_rules(f"norm_{stage}", "layernorm" if stage == last else _norm(stage))
        if stage < last:
            rules += norm_rules(f"merge_{stage + 1}/norm", f"{there}.downsample.norm")
            rules.append(Rule(f"merge_{stage + 1}/reduce/kernel", f"{there}.downsample.reduction.weight", INTO))
    return rules
