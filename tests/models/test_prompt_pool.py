"""The prompt pool: what is chosen, what learns, and the limits in which it is something simpler."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.prompt_pool import PromptPool

WIDTH, SLOTS = 16, 6
PRESENT = jax.random.normal(jax.random.key(1), (3, 5, WIDTH))
MASK = jnp.arange(5) < jnp.array([[5], [3], [4]])


def pool(**options):
    return PromptPool(WIDTH, 2, **{"slots": SLOTS, "image_prompts": 4, "text_prompts": 3, "key_width": 8} | options)


def made(model):
    def both(module):
        return module("image", PRESENT, MASK), module("text", PRESENT, MASK)

    params = nn.unbox(jax.jit(lambda rng: model.init(rng, method=both))(jax.random.key(0))).get("params", {})
    apply = jax.jit(
        lambda params, missing, present: model.apply({"params": params}, missing, present, MASK), static_argnums=1
    )
    return params, lambda params, missing, present=PRESENT: apply(params, missing, present)


@pytest.fixture(scope="module")
def shared():
    return made(pool())


def test_weights_are_one_on_average_and_prompts_come_best_first(shared):
    params, apply = shared
    for missing, count in (("image", 4), ("text", 3)):
        prompts, scores = apply(params, missing)
        assert prompts.shape == (3, count, WIDTH) and scores.shape == (3, SLOTS)
        values = np.asarray(params[f"{missing}_values"])
        best = np.argsort(-np.asarray(scores), axis=1)[:, :count]
        weight = np.exp(np.take_along_axis(np.asarray(scores), best, axis=1) / 0.1)
        weight = count * weight / weight.sum(1, keepdims=True)
        np.testing.assert_allclose(prompts, weight[..., None] * values[best], rtol=1e-4, atol=1e-6)


def test_all_slots_at_a_high_temperature_are_the_mean_of_the_pool():
    params, apply = made(pool(image_prompts=SLOTS, temperature=1e4))
    prompts, _ = apply(params, "image")
    np.testing.assert_allclose(prompts.mean(1), np.tile(params["image_values"].mean(0), (3, 1)), atol=1e-5)


def test_refinement_begins_as_nothing_and_then_looks_at_the_present_modality(shared):
    params, apply = shared
    plain, plain_apply = made(pool(refine=False))
    same = {name: params[name] for name in plain}
    np.testing.assert_array_equal(apply(params, "text").tokens, plain_apply(same, "text").tokens)
    refined = apply(params | {"alpha": jnp.float32(1)}, "text").tokens
    assert np.abs(refined - apply(params, "text").tokens).max() > 1e-3


def test_padding_asks_for_nothing(shared):
    params, apply = shared
    params = params | {"alpha": jnp.float32(1)}
    other = jnp.where(MASK[..., None], PRESENT, 9.0)
    for missing in ("image", "text"):
        for a, b in zip(apply(params, missing), apply(params, missing, other), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", ["shared", "raw", "static"])
def test_everything_that_stands_in_for_an_image_learns(kind):
    params, apply = made(pool(kind=kind))
    params = params | {"alpha": jnp.float32(1)}
    target = jax.random.normal(jax.random.key(2), (3, 4, WIDTH))
    grads = jax.jit(jax.grad(lambda p: ((apply(p, "image").tokens - target) ** 2).mean()))(params)
    learnt = {name for name, g in grads.items() if any(np.any(np.asarray(x)) for x in jax.tree.leaves(g))}
    refining = {"attention", "alpha", "prompt_norm", "present_norm", "text_present"}
    expected = {"shared": {"image_values", "keys", "text_query"} | refining, "raw": {"image_values"} | refining}
    assert learnt == expected.get(kind, {"image_values"})


def test_static_prompts_are_the_same_for_all_and_none_are_none():
    params, apply = made(pool(kind="static", refine=False))
    prompts, scores = apply(params, "text")
    assert scores is None
    np.testing.assert_array_equal(prompts, np.tile(params["text_values"], (3, 1, 1)))
    params, apply = made(pool(kind="none"))
    assert params == {} and apply({}, "image").tokens.shape == (3, 0, WIDTH)


def test_a_pool_smaller_than_what_is_chosen_is_refused():
    with pytest.raises(UserError, match=r"a pool of 2 slots has no 4 prompts .* raise slots or lower image_prompts"):
        made(pool(slots=2))
    with pytest.raises(UserError, match="kind 'dynamic' is unknown"):
        made(pool(kind="dynamic"))
