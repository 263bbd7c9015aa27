"""Our `TextEncoder` and Hugging Face's BertModel, without its pooler.

There every token has a type; all are of type 0 here, which belongs to the positions, so an exported type is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unimedvlp.interop.layout import SAME, Rule, State, block_rules, export, norm_rules, restore
from unimedvlp.models.text_encoder import TextEncoder

_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
_POSITIONS, _TYPES = "embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"


def config(model: TextEncoder) -> dict[str, Any]:
    """The `config.json` of a post-norm text encoder."""
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": model.vocab,
        "hidden_size": model.width,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "intermediate_size": model.mlp,
        "hidden_act": "gelu",
        "max_position_embeddings": model.max_length,
        "layer_norm_eps": model.eps,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    }


def to_state(model: TextEncoder, params: Mapping[str, Any]) -> State:
    """The state dict of unboxed parameters."""
    return export(params, _rules(model)) | {_TYPES: np.zeros((2, model.width), np.float32)}


def from_state(model: TextEncoder, state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The parameters of a state dict."""
    state = dict(state)
    if {_POSITIONS, _TYPES} <= set(state):
        state[_POSITIONS] = state[_POSITIONS] + state[_TYPES][0]
    ids = jnp.zeros((1, 1), jnp.int32)
    like = jax.eval_shape(model.init, jax.random.key(0), ids, ids > 0)["params"]
    return restore(state, _rules(model), like)


def _rules(model: TextEncoder) -> list[Rule]:
    return [
        Rule("tokens/embedding", "embeddings.word_embeddings.weight", SAME),
        Rule("positions", _POSITIONS, SAME),
        *norm_rules("embedding_norm", "embeddings.LayerNorm"),
        *block_rules("layers/block", "encoder.layer.{}", range(model.depth), _PARTS),
    ]
