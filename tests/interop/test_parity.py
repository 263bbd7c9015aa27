"""Our networks equal Hugging Face's PyTorch ones on the same weights, both ways, through files."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.interop import bert, folder, swin, vit
from unimedvlp.models.swin import Swin
from unimedvlp.models.text_encoder import TextEncoder
from unimedvlp.models.vit import ViT

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
TOLERANCE = 1e-4

SMALL_VIT = ViT((48, 48), patch=16, width=32, depth=3, heads=4, mlp=64, eps=1e-12)
BASE_VIT = ViT((224, 224), patch=16, width=768, depth=12, heads=12, mlp=3072, eps=1e-12)
# maps of 24, 12, 6 and 3 positions: with windows of 3 the last map is one window, with windows of 2 it is padded
FITTING_SWIN = Swin(width=12, depths=(2, 2, 4, 2), heads=(1, 2, 4, 8), window=3)
PADDED_SWIN = Swin(width=12, depths=(2, 2, 2, 2), heads=(3, 3, 6, 12), window=2)
TEXT = TextEncoder(vocab=50, width=32, depth=3, heads=4, mlp=64, max_length=12)


@pytest.fixture(scope="module", autouse=True)
def compile_quickly():
    """These tests compile much and compute little."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def random_weights(module):
    """Weights of a size that makes every part matter."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            scale = 0.2 if parameter.ndim == 1 else 2 / np.sqrt(parameter[0].numel())
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * scale + (name.endswith("norm.weight")))
    return module.eval()


def through_files(theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    return folder.load(tmp_path)[1]


def pixels(size, batch=2):
    return np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32)


def torch_image(image):
    return torch.from_numpy(image.transpose(0, 3, 1, 2))


@torch.no_grad()
def test_vit(tmp_path):
    theirs = random_weights(
        transformers.ViTModel(transformers.ViTConfig(**vit.config(SMALL_VIT)), add_pooling_layer=False)
    )
    image = pixels(48)
    expected = theirs(torch_image(image)).last_hidden_state.numpy()
    params = vit.from_state(SMALL_VIT, through_files(theirs, tmp_path))
    found = jax.jit(SMALL_VIT.apply)({"params": params}, image)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert expected.std() > 0.3


@pytest.mark.slow
@torch.no_grad()
def test_vit_base_at_224(tmp_path):
    theirs = transformers.ViTModel(transformers.ViTConfig(**vit.config(BASE_VIT)), add_pooling_layer=False).eval()
    image = pixels(224)
    params = vit.from_state(BASE_VIT, through_files(theirs, tmp_path))
    found = jax.jit(BASE_VIT.apply)({"params": params}, image)
    np.testing.assert_allclose(found, theirs(torch_image(image)).last_hidden_state.numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("model", [FITTING_SWIN, PADDED_SWIN], ids=["fitting", "padded"])
@torch.no_grad()
def test_swin(model, tmp_path):
    theirs = random_weights(
        transformers.SwinModel(transformers.SwinConfig(**swin.config(model, 96)), add_pooling_layer=False)
    )
    image = pixels(96, batch=1)
    params = swin.from_state(model, through_files(theirs, tmp_path))
    found = jax.jit(model.apply)({"params": params}, image)
    hidden, size = theirs.embeddings(torch_image(image))
    inner = theirs.encoder(hidden, size, output_hidden_states=True, output_hidden_states_before_downsampling=True)
    maps = [x.permute(0, 2, 3, 1) for x in inner.reshaped_hidden_states[1:]]
    maps = [torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5) for x in maps[:-1]] + [theirs.layernorm(maps[-1])]
    for ours, x in zip(found, maps, strict=True):
        np.testing.assert_allclose(ours, x.numpy(), atol=TOLERANCE)
    last = theirs(torch_image(image)).last_hidden_state.numpy()
    np.testing.assert_allclose(found[-1].reshape(last.shape), last, atol=TOLERANCE)


@pytest.mark.slow
@torch.no_grad()
def test_swin_tiny_at_224(tmp_path):
    model = Swin()
    theirs = transformers.SwinModel(transformers.SwinConfig(**swin.config(model)), add_pooling_layer=False).eval()
    image = pixels(224, batch=1)
    params = swin.from_state(model, through_files(theirs, tmp_path))
    last = theirs(torch_image(image)).last_hidden_state.numpy()
    found = jax.jit(model.apply)({"params": params}, image)[-1]
    np.testing.assert_allclose(found.reshape(last.shape), last, atol=TOLERANCE)


@torch.no_grad()
def test_text_encoder(tmp_path):
    theirs = random_weights(
        transformers.BertModel(transformers.BertConfig(**bert.config(TEXT)), add_pooling_layer=False)
    )
    ids = np.random.default_rng(0).integers(1, 50, (2, 10))
    mask = np.arange(10) < np.array([[10], [6]])
    expected = theirs(torch.from_numpy(ids), torch.from_numpy(mask.astype(int))).last_hidden_state.numpy()
    params = bert.from_state(TEXT, through_files(theirs, tmp_path))
    found = jax.jit(TEXT.apply)({"params": params}, jnp.asarray(ids), mask)
    np.testing.assert_allclose(found[mask], expected[mask], atol=TOLERANCE)


def drawn(model, *inputs):
    """Parameters drawn with NumPy, which compiles nothing."""
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), *inputs))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(0, 0.2, x.shape).astype(np.float32), shapes)


def read(kind, path):
    """PyTorch's model of a folder that we wrote: everything is there and nothing is left over."""
    model, report = kind.from_pretrained(path, add_pooling_layer=False, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    return model.eval()


@torch.no_grad()
def test_pytorch_reads_our_vit(tmp_path):
    image = pixels(48)
    params = drawn(SMALL_VIT, image)
    folder.save(tmp_path, vit.config(SMALL_VIT), vit.to_state(SMALL_VIT, params))
    there = read(transformers.ViTModel, tmp_path)(torch_image(image)).last_hidden_state.numpy()
    np.testing.assert_allclose(jax.jit(SMALL_VIT.apply)({"params": params}, image), there, atol=TOLERANCE)


@torch.no_grad()
def test_pytorch_reads_our_swin(tmp_path):
    image, model = pixels(32), Swin(width=8, depths=(2, 2), heads=(1, 2), window=2)
    params = drawn(model, image)
    folder.save(tmp_path, swin.config(model, 32), swin.to_state(model, params))
    there = read(transformers.SwinModel, tmp_path)(torch_image(image)).last_hidden_state.numpy()
    here = jax.jit(model.apply)({"params": params}, image)[-1]
    np.testing.assert_allclose(here.reshape(there.shape), there, atol=TOLERANCE)


@torch.no_grad()
def test_pytorch_reads_our_text_encoder(tmp_path):
    ids = np.arange(1, 9)[None]
    params = drawn(TEXT, ids, ids > 0)
    folder.save(tmp_path, bert.config(TEXT), bert.to_state(TEXT, params))
    there = read(transformers.BertModel, tmp_path)(torch.from_numpy(ids)).last_hidden_state.numpy()
    np.testing.assert_allclose(jax.jit(TEXT.apply)({"params": params}, ids, ids > 0), there, atol=TOLERANCE)
