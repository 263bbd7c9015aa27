"""The attention table of the input queue, entry by entry, and that the decoder obeys it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import meta

from unimedvlp.models.decomposed_decoder import DecomposedDecoder, refined_global
from unimedvlp.models.input_queue import ORDER, attention_table, places

COUNTS = {"latent": 3, "referring": 3, "global": 1, "text": 2, "caption": 3}
# rows may look at columns, in the queue's order; captions among themselves are causal
EXPECTED = {
    ("latent", "latent"): True, ("latent", "referring"): False, ("latent", "global"): False, ("latent", "text"): False,
    ("latent", "caption"): False,
    ("referring", "latent"): False, ("referring", "referring"): True, ("referring", "global"): False,
    ("referring", "text"): True, ("referring", "caption"): False,
    ("global", "latent"): False, ("global", "referring"): False, ("global", "global"): True, ("global", "text"): False,
    ("global", "caption"): False,
    ("text", "latent"): False, ("text", "referring"): False, ("text", "global"): False, ("text", "text"): True,
    ("text", "caption"): False,
    ("caption", "latent"): True, ("caption", "referring"): True, ("caption", "global"): True, ("caption", "text"): True,
}  # fmt: skip


@pytest.mark.parametrize(("who", "whom"), EXPECTED)
def test_every_entry_of_the_table(who, whom):
    block = attention_table(COUNTS)[0, 0, places(COUNTS, who), places(COUNTS, whom)]
    assert block.shape == (COUNTS[who], COUNTS[whom])
    assert bool((block == EXPECTED[who, whom]).all())


def test_captions_look_back_only():
    part = places(COUNTS, "caption")
    np.testing.assert_array_equal(attention_table(COUNTS)[0, 0, part, part], np.tril(np.ones((3, 3), bool)))


def test_segments_lie_in_order_and_absent_ones_take_no_place():
    counts = {"latent": 2, "global": 1, "caption": 2}
    assert [places(counts, name).start for name in ORDER] == [0, 2, 2, 3, 3]
    assert attention_table(counts).shape == (1, 1, 5, 5)


WIDTH, QUERIES, NAMES = 16, 4, 3


@pytest.fixture(scope="module", params=[False, True], ids=["learned", "selected"])
def decoder(request):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    given = {
        "memory": [draw(2, 2, 2, WIDTH), draw(2, 4, 4, WIDTH)],
        "features": draw(2, 8, 8, WIDTH),
        "names": draw(NAMES, WIDTH) / 4,
        "text": draw(2, 3, WIDTH),
        "text_mask": jnp.array([[True, True, False], [True, True, True]]),
        "caption": draw(2, 3, WIDTH),
    }
    module = DecomposedDecoder(WIDTH, 2, 32, depth=3, queries=QUERIES, selected=request.param)
    params = meta.unbox(jax.jit(module.init)(jax.random.key(0), **given))
    return jax.jit(module.apply), params, given


def test_outputs_have_the_documented_shapes(decoder):
    apply, params, given = decoder
    out = apply(params, **given)
    assert out.latent["class"].shape == (4, 2, QUERIES, NAMES)
    assert out.latent["mask"].shape == (4, 2, QUERIES, 8, 8) and out.latent["box"].shape == (4, 2, QUERIES, 4)
    assert {name: part.shape[1] for name, part in out.states.items()} == {
        "latent": QUERIES, "referring": QUERIES, "global": 1, "text": 3, "caption": 3
    }  # fmt: skip
    assert out.image.shape == (2, WIDTH)
    if out.proposals is not None:
        assert out.proposals["box"].shape == (1, 2, 2 * 2 + 4 * 4, 4)


def test_queries_do_not_hear_text_or_captions(decoder):
    apply, params, given = decoder
    full = apply(params, **given)
    alone = apply(params, given["memory"], given["features"], given["names"])
    for name, value in alone.latent.items():
        np.testing.assert_allclose(value, full.latent[name], atol=1e-5)
    np.testing.assert_allclose(alone.image, full.image, atol=1e-5)


def test_referring_copies_hear_the_text_and_padding_says_nothing(decoder):
    apply, params, given = decoder
    full = apply(params, **given)
    padded = apply(params, **given | {"text": given["text"].at[0, 2].set(9.0)})
    other = apply(params, **given | {"text": given["text"].at[0, 1].set(9.0)})
    np.testing.assert_allclose(padded.referring["class"], full.referring["class"], atol=1e-5)
    assert np.abs(other.referring["class"][-1, 0] - full.referring["class"][-1, 0]).max() > 1e-3
    np.testing.assert_allclose(other.referring["class"][:, 1], full.referring["class"][:, 1], atol=1e-5)


def test_captions_are_causal(decoder):
    apply, params, given = decoder
    full = apply(params, **given).states["caption"]
    changed = apply(params, **given | {"caption": given["caption"].at[:, 2].set(5.0)}).states["caption"]
    np.testing.assert_allclose(changed[:, :2], full[:, :2], atol=1e-5)
    assert np.abs(changed[:, 2] - full[:, 2]).max() > 1e-3


def test_order_of_learned_queries_does_not_matter(decoder):
    apply, params, given = decoder
    if "boxes" not in params["params"]:
        pytest.skip("selected queries have no order of their own")
    order = np.array([2, 0, 3, 1])
    turned = {
        **params["params"],
        "latent": params["params"]["latent"][order],
        "boxes": params["params"]["boxes"][order],
    }
    one, other = apply(params, **given), apply({"params": turned}, **given)
    np.testing.assert_allclose(other.latent["class"], one.latent["class"][:, :, order], atol=1e-4)
    np.testing.assert_allclose(other.image, one.image, atol=1e-4)


def test_a_query_looks_only_where_its_mask_was(decoder):
    """A place outside of all masks changes no query, unless a query has no mask at all."""
    apply, params, given = decoder
    plain = {name: given[name] for name in ("memory", "features", "names")}
    bias = {**params["params"]["query_heads"]["mask"]["third"]}
    heads = {**params["params"]["query_heads"]}
    bias["kernel"], bias["bias"] = jnp.zeros_like(bias["kernel"]), jnp.ones_like(bias["bias"])
    heads["mask"] = {**heads["mask"], "third": bias}
    features = jnp.full_like(plain["features"], -1.0).at[:, :4].set(1.0)  # every mask is the upper half
    plain["features"] = features
    fixed = {"params": {**params["params"], "query_heads": heads}}
    if "boxes" not in params["params"]:
        pytest.skip("selected queries begin with all of the memory")
    one = apply(fixed, **plain)
    moved = [m.at[:, m.shape[1] * 3 // 4 :].set(7.0) if m.shape[1] > 2 else m for m in plain["memory"]]
    other = apply(fixed, **plain | {"memory": moved})
    np.testing.assert_allclose(other.latent["class"], one.latent["class"], atol=1e-5)
    moved = [m.at[:, 0].set(7.0) for m in plain["memory"]]
    assert np.abs(apply(fixed, **plain | {"memory": moved}).latent["class"] - one.latent["class"]).max() > 1e-4


def test_refined_global_is_a_convex_sum_of_the_queries():
    latent = jnp.array([[[1.0, 0.0], [0.0, 2.0]]])
    weight = np.exp([1.0, 0.0]) / np.exp([1.0, 0.0]).sum()
    np.testing.assert_allclose(
        refined_global(jnp.array([[[3.0, 0.0]]]), latent)[0], [weight[0], 2 * weight[1]], rtol=1e-6
    )
