"""The codes system: gradients everywhere, it learns a batch, codes do not depend on the batch, and wrong input is named."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import meta

from unimedvlp import systems
from unimedvlp.errors import UserError
from unimedvlp.models import fsq
from unimedvlp.models.generate import Greedy
from unimedvlp.tokens.region_sequences import read_image_codes

TINY = {"width": 8, "blocks": 1}


@pytest.fixture(scope="module", autouse=True)
def compile_quickly():
    """These tests compile much and compute little."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def make_batch(size=4):
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:16, :16]
    blobs = [np.hypot(row - rng.uniform(4, 12), column - rng.uniform(4, 12)) for _ in range(2 * size)]
    masks = np.stack([blob < 5 for blob in blobs]).reshape(size, 2, 16, 16).astype(np.uint8)
    image = np.stack([np.clip(255 - 20 * blob, 0, 255) for blob in blobs]).reshape(size, 2, 16, 16, 1).astype(np.uint8)
    return {
        "image": image,
        "view_mask": np.arange(2) < (np.arange(size) % 2 + 1)[:, None],
        "masks": masks,
        "has_mask": np.arange(2) < (np.arange(size) % 3)[:, None],
    }


BATCH = make_batch()


@functools.cache
def made(of):
    system = systems.build({"name": "codes", "of": of, "model": TINY}, None, 16, 2)
    return system, meta.unbox(jax.jit(system.init)(jax.random.key(0), BATCH))


@pytest.mark.parametrize("of", ["images", "masks"])
def test_every_parameter_learns_and_absent_pictures_teach_nothing(of):
    system, params = made(of)
    loss = jax.jit(jax.value_and_grad(lambda p, b: system.loss(p, b, jax.random.key(0), train=True)[0]))
    value, grads = loss(params, BATCH)
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        assert np.abs(grad).max() > 0, jax.tree_util.keystr(path)
    changed = dict(BATCH)
    changed["image"] = np.where(BATCH["view_mask"][..., None, None, None], BATCH["image"], 77)
    changed["masks"] = np.where(BATCH["has_mask"][..., None, None], BATCH["masks"], 1)
    np.testing.assert_allclose(loss(params, changed)[0], value, rtol=1e-6)


@pytest.mark.parametrize(("of", "limit"), [("images", 0.02), ("masks", 0.15)])
def test_it_learns_its_batch(of, limit):
    system, params = made(of)
    tx = optax.adam(1e-2)

    @jax.jit
    def steps(params):
        def step(carry, _):
            params, state = carry
            grads, metrics = jax.grad(lambda p: system.loss(p, BATCH, jax.random.key(0), train=True), has_aux=True)(
                params
            )
            updates, state = tx.update(grads, state)
            return (optax.apply_updates(params, updates), state), metrics

        return jax.lax.scan(step, (params, tx.init(params)), None, length=200)

    (params, _), metrics = steps(params)
    lead = "loss/squared" if of == "images" else "loss/dice"
    assert metrics[lead][0] > 2 * limit and metrics[lead][-1] < limit
    assert metrics["code_perplexity"][-1] > 4
    pictures = BATCH["image"][:, 0] if of == "images" else BATCH["masks"][BATCH["has_mask"]][..., None]
    codes = system.encode(params, pictures)
    assert codes.shape == (len(pictures), 4) and codes.min() >= 0 and codes.max() < fsq.size(system.model.levels)
    back = system.decode(params, codes, (2, 2))
    if of == "images":
        assert back.dtype == jnp.uint8 and np.abs(back.astype(int) - pictures).mean() < 15
    else:
        assert ((back > 0.5) == (pictures > 0)).mean() > 0.85


def test_codes_do_not_depend_on_the_batch_around_them():
    system, params = made("images")
    images = np.random.default_rng(1).integers(0, 256, (32, 16, 16, 1)).astype(np.uint8)
    encode = jax.jit(system.encode)
    together = np.asarray(encode(params, images))
    alone = np.concatenate([encode(params, image[None]) for image in images])
    np.testing.assert_array_equal(together, alone)
    within = jax.jit(lambda p, x: system.encode(p, x[:, 0]) * 1)(params, images.reshape(16, 2, 16, 16, 1))
    np.testing.assert_array_equal(within, together[::2])


def test_its_response_is_the_codes():
    system, params = made("images")
    ids = system.generate(params, BATCH, jax.random.key(0), Greedy(), 6)
    codes = system.encode(params, BATCH["image"][:, 0])
    for row, expected in zip(ids, codes, strict=True):
        np.testing.assert_array_equal(read_image_codes(row), expected)
    with pytest.raises(UserError, match="has 4 codes, the response 4 tokens"):
        system.generate(params, BATCH, jax.random.key(0), Greedy(), 4)


def test_wrong_configs_and_batches():
    with pytest.raises(UserError, match=r"system\.of is 'mask': use one of"):
        systems.build({"name": "codes", "of": "mask"}, None, 16, 2)
    with pytest.raises(UserError, match=r"'system\.model\.widht'; did you mean 'width'"):
        systems.build({"name": "codes", "model": {"widht": 3}}, None, 16, 2)
    with pytest.raises(UserError, match="stride 6 does not suit"):
        systems.build({"name": "codes", "model": {"stride": 6}}, None, 16, 2).init(jax.random.key(0), BATCH)
    system = systems.build({"name": "codes", "of": "masks", "model": TINY}, None, 16, 2)
    with pytest.raises(UserError, match=r"set data\.spec\.objects and data\.spec\.mask_size"):
        system.init(jax.random.key(0), {"image": BATCH["image"], "view_mask": BATCH["view_mask"]})
    with pytest.raises(UserError, match="is not a multiple of stride 8"):
        odd = {"image": np.zeros((1, 1, 12, 12, 1), np.uint8), "view_mask": np.ones((1, 1), bool)}
        systems.build({"name": "codes", "model": TINY}, None, 12, 1).init(jax.random.key(0), odd)
