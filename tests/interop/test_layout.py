"""Export and import are inverses, and say what does not fit. No PyTorch here."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.interop import bert, folder, layout, swin, vit
from unimedvlp.models.swin import Swin
from unimedvlp.models.text_encoder import TextEncoder
from unimedvlp.models.vit import ViT

VIT = ViT((32, 32), patch=16, width=8, depth=2, heads=2, mlp=12)
SWIN = Swin(width=4, depths=(2, 2, 4, 2), heads=(1, 1, 2, 2), window=2)
TEXT = TextEncoder(vocab=9, width=8, depth=2, heads=2, mlp=12, max_length=5)
IMAGE, IDS = jnp.zeros((1, 32, 32, 3)), jnp.ones((1, 4), jnp.int32)


def random_params(model, *inputs):
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), *inputs))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(
    ("kind", "model", "inputs"),
    [(vit, VIT, (IMAGE,)), (swin, SWIN, (IMAGE,)), (bert, TEXT, (IDS, IDS > 0))],
    ids=["vit", "swin", "bert"],
)
def test_import_of_an_export_is_the_same(kind, model, inputs, tmp_path):
    params = random_params(model, *inputs)
    folder.save(tmp_path, kind.config(model), kind.to_state(model, params))
    config, state = folder.load(tmp_path)
    assert config == kind.config(model)
    jax.tree.map(np.testing.assert_array_equal, kind.from_state(model, state), params)


def test_layouts_are_pytorchs():
    heads = np.arange(24.0).reshape(4, 3, 2)  # [D, heads, head_dim]
    assert layout.INTO.there(heads)[3, 1] == heads[1, 1, 1]
    joined = heads.transpose(1, 2, 0)  # [heads, head_dim, D]
    assert layout.OUT_OF.there(joined)[1, 3] == joined[1, 1, 1]
    patch = np.arange(2 * 2 * 3 * 5.0).reshape(12, 5)
    assert layout.patches(2).there(patch)[4, 2, 0, 1] == patch[(0 * 2 + 1) * 3 + 2, 4]


def test_stacked_layers_go_to_their_numbers():
    params = random_params(SWIN, IMAGE)
    state = swin.to_state(SWIN, params)
    stage = params["stage_2"]
    for kind, number in (("plain", 2), ("shifted", 3)):
        expected = stage[kind]["attention"]["relative"][1]
        np.testing.assert_array_equal(
            state[f"encoder.layers.2.blocks.{number}.attention.self.relative_position_bias_table"], expected
        )


def test_what_does_not_fit_is_named(tmp_path):
    params = random_params(VIT, IMAGE)
    state = vit.to_state(VIT, params)
    lacking = {name: array for name, array in state.items() if name != "layernorm.bias"}
    with pytest.raises(UserError, match=r"1 names are missing, the first is 'layernorm\.bias'"):
        vit.from_state(VIT, lacking)
    with pytest.raises(
        UserError, match=r"'encoder\.layer\.0\.intermediate\.dense\.weight' has shape \(12, 8\), expected \(16, 8\)"
    ):
        vit.from_state(VIT.clone(mlp=16), state)
    with pytest.raises(UserError, match="of another architecture, such as 'extra'"):
        vit.to_state(VIT, params | {"extra": np.zeros(1)})
    with pytest.raises(UserError, match=r"has 2 layers, expected 3"):
        vit.to_state(VIT.clone(depth=3), params)
    with pytest.raises(UserError, match=r"no config\.json; found nothing"):
        folder.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({}))
    (tmp_path / "model.safetensors").write_bytes(b"12")
    with pytest.raises(UserError, match=r"damaged config\.json or model\.safetensors"):
        folder.load(tmp_path)
