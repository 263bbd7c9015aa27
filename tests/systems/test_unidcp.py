"""UniDCP: known values at the start, the three shapes of one function, what each rung learns, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unidcp_case as case
from flax.core import meta

from unimedvlp.errors import UserError
from unimedvlp.systems.unidcp import Model
from unimedvlp.training import trees

SYSTEM, BATCH = case.system(), case.batch_at()
PAIRS = [0, 4, 5, 6, 7]


@pytest.fixture(scope="module", autouse=True)
def compile_quickly():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def params():
    made = meta.unbox(jax.jit(SYSTEM.init)(jax.random.key(0), BATCH))
    return made | {
        "pool": made["pool"] | {"alpha": jnp.float32(0.1)}
    }  # as if refined a little, so that all of it learns


@pytest.fixture(scope="module")
def loss():
    def run(params, batch):
        return SYSTEM.loss(params, batch, jax.random.key(1), train=False)

    return jax.jit(jax.value_and_grad(run, has_aux=True))


@pytest.fixture(scope="module")
def shapes():
    """(params, image, views, ids, mask) -> pooled features of pairs, images, texts and mixed rows."""

    def run(params, image, views, ids, mask):
        def every(model: Model):
            pair, alone, said = (
                model.encode((image, views), (ids, mask)),
                model.encode(image=(image, views)),
                model.encode(text=(ids, mask)),
            )
            rows = model.rows({"image": image, "view_mask": views, "text": ids, "text_mask": mask})
            return {"pair": pair.pooled, "image": alone.pooled, "text": said.pooled, "rows": rows.pooled}

        return SYSTEM.model.apply({"params": params}, method=every)

    return jax.jit(run)


def test_every_term_starts_at_its_known_value_and_every_parameter_learns(params, loss):
    (total, metrics), grads = loss(params, BATCH)
    value = {name: float(metrics[f"loss/{name}"]) for name in case.WEIGHTS}
    vocabulary, tau, width = SYSTEM.model.vocab, 0.1, case.SIZES["width"]
    for name in ("mlm", "umlm", "tokens"):
        assert value[name] == pytest.approx(np.log(vocabulary), rel=0.02), name
    for name in ("mim", "umim"):
        assert value[name] == pytest.approx(1, abs=0.05), name
    assert value["itm"] == pytest.approx(np.log(2), rel=0.05)
    assert np.log(len(PAIRS)) - 0.1 < value["itc"] < np.log(len(PAIRS)) + 1 / (2 * width * tau**2)
    assert value["choices"] == pytest.approx(np.log(3) + np.log(2), rel=0.05)
    assert value["share"] == pytest.approx(np.log(len(PAIRS)), rel=0.5)
    assert 0 <= value["pull"] <= 2 and 0 <= value["balance"] <= np.log(case.PROMPTS["slots"])
    assert total == pytest.approx(sum(value.values()), rel=1e-5) and total.dtype == jnp.float32
    assert metrics["pairs"] == len(PAIRS) / len(BATCH["text"])
    dead = [path for path, g in trees.flat(grads).items() if not np.any(np.asarray(g))]
    assert dead == []


def test_padding_and_absent_views_change_nothing(params, loss):
    changed = dict(BATCH)
    changed["text"] = np.where(BATCH["text_mask"], BATCH["text"], 4100)
    changed["prompt"] = np.where(BATCH["prompt_mask"], BATCH["prompt"], 4100)
    changed["image"] = np.where(BATCH["view_mask"][:, :, None, None, None], BATCH["image"], 77)
    (total, _), _ = loss(params, BATCH)
    (other, _), _ = loss(params, changed)
    np.testing.assert_allclose(other, total, rtol=1e-5)


def test_pairs_images_and_texts_are_shapes_of_one_function(params, shapes):
    given = [BATCH[name] for name in ("image", "view_mask", "text", "text_mask")]
    found = shapes(params, *given)
    for kind, rows in (("pair", PAIRS), ("image", [1, 2]), ("text", [3])):
        np.testing.assert_allclose(found["rows"][np.array(rows)], found[kind][np.array(rows)], atol=2e-5, err_msg=kind)
    order = np.random.default_rng(0).permutation(8)
    turned = shapes(params, *(x[order] for x in given))
    for kind in found:
        np.testing.assert_allclose(turned[kind], found[kind][order], atol=2e-5, err_msg=kind)
    pool = jax.tree.map(lambda x: -x, params["pool"])
    other = shapes(params | {"pool": pool}, *given)
    np.testing.assert_array_equal(other["pair"], found["pair"])
    assert np.abs(other["image"] - found["image"]).max() > 1e-4 and np.abs(other["text"] - found["text"]).max() > 1e-4


def test_the_pool_is_asked_without_the_positions_that_all_images_share(params):
    def asking(params):
        given = (BATCH["image"], BATCH["view_mask"])
        half = SYSTEM.model.apply({"params": params}, method=lambda model: model.encoder.see(*given))
        return half.embeddings, half.tokens

    vit = params["encoder"]["image"]["encoder"]
    moved = {**params["encoder"]["image"], "encoder": vit | {"positions": vit["positions"][::-1]}}
    other = params | {"encoder": params["encoder"] | {"image": moved}}
    (embeddings, tokens), (same, changed) = asking(params), asking(other)
    np.testing.assert_array_equal(same, embeddings)
    assert np.abs(changed - tokens).max() > 1e-3


def test_words_and_patches_pass_the_fusion(params):
    """What the decoder and the head read keeps the tokens of both encoders, even if the fusion says nothing."""
    fusion = params["encoder"]["fusion"]
    silent = {name: jax.tree.map(jnp.zeros_like, fusion[name]) for name in ("image_norm", "text_norm")}
    other = params | {"encoder": params["encoder"] | {"fusion": fusion | silent}}

    def streams(model):
        seen = model.encoder.see(BATCH["image"], BATCH["view_mask"])
        said = model.encoder.read(BATCH["text"], BATCH["text_mask"])
        encoded = model.encoder.fuse(seen, said)
        return (encoded.image, seen.tokens), (encoded.text, said.tokens)

    for fused, own in SYSTEM.model.apply({"params": other}, method=streams):
        np.testing.assert_allclose(fused, own, atol=1e-6)


def test_an_image_only_batch_is_refused_for_pairs():
    alone = BATCH | {"text": BATCH["text"][:, :1], "text_mask": BATCH["text_mask"][:, :1]}
    shapes = jax.eval_shape(SYSTEM.init, jax.random.key(0), BATCH)
    with pytest.raises(UserError, match=r"itm, .* need pairs, but the batch holds images alone"):
        jax.eval_shape(lambda p: SYSTEM.loss(p, alone, jax.random.key(0), train=False), meta.unbox(shapes))


def test_hard_negatives_need_whole_blocks():
    shapes = jax.eval_shape(SYSTEM.init, jax.random.key(0), BATCH)
    with pytest.raises(UserError, match="a batch of 8 studies does not consist of blocks of 3"):
        run = case.system(block=3).loss
        jax.eval_shape(lambda p: run(p, BATCH, jax.random.key(0), train=False), meta.unbox(shapes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"prompts": {"slots": 3, "image_prompts": 4}},
            "a pool of 3 slots has no 4 prompts to choose for a missing image",
        ),
        ({"prompts": {"kind": "dynamic"}}, "kind 'dynamic' is unknown"),
        ({"weights": {"mln": 1.0}}, "unknown term 'mln'; known: mlm"),
        ({"sizes": case.SIZES | {"widht": 3}}, "'system.model.widht'; did you mean 'width'"),
        ({"hide_word": 0.1}, "'system.hide_word'; did you mean 'hide_words'"),
    ],
)
def test_wrong_configs_are_explained(change, message):
    with pytest.raises(UserError, match=message):
        case.system(**change)


@pytest.mark.slow
def test_eight_devices_step_like_one(tmp_path):
    root = Path(__file__).parents[2]
    environment = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root), "PATH": "",
    }  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("unidcp_case.py")), str(tmp_path / "rows.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    np.testing.assert_allclose(rows["eight"], rows["one"], rtol=1e-4)
