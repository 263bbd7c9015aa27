"""The baseline system: known value at initialisation, invariances, and that it can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import meta

from unimedvlp import systems
from unimedvlp.errors import UserError
from unimedvlp.models.generate import Beam, Greedy
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import EOS, MASK, PAD, POS

SPACE = TokenSpace.create(("nodule",), text.train(["a nodule"], size=60))
VOCABULARY = SPACE.vocabulary
SIZES = {"width": 32, "heads": 2, "mlp": 64, "image_depth": 1, "text_depth": 1, "decoder_depth": 1, "max_text": 8}
CONFIG = {"name": "baseline", "model": SIZES | {"max_response": 16, "dropout": 0.0}}
SYSTEM = systems.build(CONFIG, SPACE, image_size=32, views=2)


def make_batch(size=4):
    rng = np.random.default_rng(0)
    response = rng.integers(4096, 4150, (size, 5)).astype(np.int32)
    length = np.arange(size) % 3 + 2
    response = np.where(np.arange(5) < length[:, None] - 1, response, PAD)
    response[np.arange(size), length - 1] = EOS
    mask = np.arange(6) < (np.arange(size) % 4)[:, None]
    return {
        "image": rng.integers(0, 255, (size, 2, 32, 32, 1)).astype(np.uint8),
        "view_mask": np.arange(2) < (np.arange(size) % 2 + 1)[:, None],
        "text": rng.integers(4096, 4150, (size, 6)).astype(np.int32),
        "text_mask": mask,
        "prompt": np.tile(np.array([1, 22, 65, 0], np.int32), (size, 1)),
        "prompt_mask": np.tile(np.array([True, True, True, False]), (size, 1)),
        "response": response.astype(np.int32),
        "response_weight": (response != PAD).astype(np.float32),
    }


BATCH = make_batch()
BATCH["prompt"][0] = [1, 17, 65, 128]  # row 0 asks for a finding, and the answer is yes
BATCH["prompt_mask"][0, 3] = True
BATCH["response"][0, :2] = [POS, EOS]
BATCH["target"] = BATCH["response"]
ASKED = 1  # of the classes one is known
PARAMS = meta.unbox(SYSTEM.init(jax.random.key(0), BATCH))
LOSS = jax.jit(lambda params, batch: SYSTEM.loss(params, batch, jax.random.key(1), train=False))
FIRST = jax.jit(SYSTEM.first_logits)


def test_loss_starts_at_log_vocabulary():
    loss, metrics = LOSS(PARAMS, BATCH)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, sum(metrics[f"weighted/{name}"] for name in ("tokens", "words", "classes")))
    np.testing.assert_allclose(metrics["loss/tokens"], np.log(VOCABULARY.size), rtol=0.02)
    np.testing.assert_allclose(metrics["loss/words"], np.log(VOCABULARY.size - 4096), rtol=0.2)
    np.testing.assert_allclose(metrics["loss/classes"], np.log(2) * ASKED, rtol=0.3)
    assert set(metrics["statistics"]) == {"mean", "variance"}


def test_padding_changes_nothing():
    changed = dict(BATCH)
    changed["text"] = np.where(BATCH["text_mask"], BATCH["text"], 4100)
    changed["prompt"] = np.where(BATCH["prompt_mask"], BATCH["prompt"], 4100)
    changed["image"] = np.where(BATCH["view_mask"][:, :, None, None, None], BATCH["image"], 77)
    np.testing.assert_allclose(LOSS(PARAMS, changed)[0], LOSS(PARAMS, BATCH)[0], rtol=1e-6)


def test_permuted_batch_permutes_outputs():
    order = np.array([2, 0, 3, 1])
    permuted = {key: value[order] for key, value in BATCH.items()}
    np.testing.assert_allclose(FIRST(PARAMS, permuted), FIRST(PARAMS, BATCH)[order], atol=1e-5)


def test_every_parameter_gets_a_gradient():
    grads = jax.jit(jax.grad(lambda params: SYSTEM.loss(params, BATCH, jax.random.key(1), train=True)[0]))(PARAMS)
    names = {jax.tree_util.keystr(path, simple=True, separator="/"): g for path, g in jax.tree.leaves_with_path(grads)}
    dead = {name for name, g in names.items() if not np.any(np.asarray(g))}
    assert dead == {"statistics/mean", "statistics/variance"}  # running averages, replaced by the training step


def test_a_blind_decoder_is_trained_without_the_image():
    def token_loss(blind, image):
        system = systems.build(CONFIG | {"blind": blind}, SPACE, image_size=32, views=2)
        return system.loss(PARAMS, {**BATCH, "image": image}, jax.random.key(1), train=True)[1]["loss/tokens"]

    other = 255 - BATCH["image"][::-1]
    assert token_loss(1.0, BATCH["image"]) == token_loss(1.0, other)
    assert abs(token_loss(0.0, BATCH["image"]) - token_loss(0.0, other)) > 1e-5


def test_classes_are_scored_from_the_images_alone():
    logits = SYSTEM.class_logits(PARAMS, BATCH)
    assert logits.shape == (4, VOCABULARY.size)
    other = {**BATCH, "prompt": np.flip(BATCH["prompt"], 1), "text": BATCH["text"] + 1}
    np.testing.assert_array_equal(logits, SYSTEM.class_logits(PARAMS, other))
    assert np.abs(logits - SYSTEM.class_logits(PARAMS, {**BATCH, "image": BATCH["image"][::-1]})).max() > 1e-4


def test_it_learns_its_batch_and_says_it():
    tx = optax.adam(3e-3)

    @jax.jit
    def step(params, state):
        (_, metrics), grads = jax.value_and_grad(
            lambda p: SYSTEM.loss(p, BATCH, jax.random.key(1), train=True), has_aux=True
        )(params)
        updates, state = tx.update(grads, state)
        return (
            optax.apply_updates(params, updates) | {"statistics": metrics["statistics"]},
            state,
            metrics["loss/tokens"],
        )

    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(250):
        params, state, loss = step(params, state)
    assert loss < 0.05
    for method in (Greedy(), Beam(3)):
        ids = SYSTEM.generate(params, BATCH, jax.random.key(0), method, 5)
        np.testing.assert_array_equal(ids, BATCH["response"])
    assert (np.argmax(FIRST(params, BATCH), axis=-1) == BATCH["response"][:, 0]).all()
    sure = jax.nn.softmax(SYSTEM.response_logits(params, BATCH, BATCH["response"]))
    right = np.take_along_axis(np.asarray(sure), BATCH["response"][..., None], axis=-1)[..., 0]
    assert (right[BATCH["response"] != PAD] > 0.5).all()
    shuffled = {**BATCH, "image": BATCH["image"][::-1], "view_mask": BATCH["view_mask"][::-1]}
    assert LOSS(params, shuffled)[1]["loss/tokens"] > 5 * LOSS(params, BATCH)[1]["loss/tokens"]


def test_wrong_configs_name_the_nearest():
    with pytest.raises(UserError, match="unknown system 'baselin'; did you mean 'baseline'"):
        systems.build({"name": "baselin"}, SPACE, 32, 2)
    with pytest.raises(UserError, match=r"'system\.model\.widht'; did you mean 'width'"):
        systems.build({"name": "baseline", "model": {"widht": 3}}, SPACE, 32, 2)
    with pytest.raises(UserError, match=r"'system\.smoothin'; did you mean 'smoothing'"):
        systems.build({"name": "baseline", "smoothin": 0.1}, SPACE, 32, 2)


def test_words_of_prompts_are_hidden_and_nothing_else():
    system = systems.build(CONFIG | {"prompt_corruption": 1.0}, SPACE, image_size=32, views=2)
    response = np.array([[4100, 4101, POS, EOS]], np.int32)
    batch = {
        "prompt": np.array([[1, 22, 4102]], np.int32),
        "response": response,
        "response_weight": np.array([[0, 1, 1, 1]], np.float32),
    }
    changed, given = system._corrupted(batch, jax.random.key(0))
    np.testing.assert_array_equal(changed["prompt"], [[1, 22, MASK]])
    np.testing.assert_array_equal(given, [[MASK, 4101, POS, EOS]])
