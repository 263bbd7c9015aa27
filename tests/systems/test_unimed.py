"""UniMed: values at the start, what unlabelled images teach, every switch, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import unimed_case
from flax.core import meta
from unimed_case import CLASSES, CONFIG, OBJECTS, PROMPT, SIDE, SPACE

from unimedvlp import systems
from unimedvlp.errors import UserError
from unimedvlp.models.generate import Beam, Greedy
from unimedvlp.systems import unimed
from unimedvlp.tokens import region_sequences
from unimedvlp.tokens.vocabulary import COORDINATE_BINS, COORDINATE_START, EOS

BATCH = unimed_case.make_batch()
SYSTEM = unimed_case.build()
KEY = jax.random.key(1)
DECOMPOSED = {"class", "mask", "dice", "projection", "l1", "giou", "proposals", "labels"}
EVERYTHING = DECOMPOSED | {"tokens", "coupling", "masked_image"}


@pytest.fixture(scope="module")
def params():
    return meta.unbox(jax.jit(SYSTEM.init)(jax.random.key(0), BATCH))


@pytest.fixture(scope="module")
def gradient():
    return jax.jit(jax.value_and_grad(lambda p, b: SYSTEM.loss(p, b, KEY, train=True), has_aux=True))


def terms(metrics):
    return {name.removeprefix("loss/") for name in metrics if name.startswith("loss/")}


def test_losses_at_the_start_and_gradients_everywhere(params, gradient):
    (loss, metrics), _ = gradient(params, BATCH)
    assert terms(metrics) == EVERYTHING
    np.testing.assert_allclose(loss, sum(metrics[f"weighted/{name}"] for name in EVERYTHING), rtol=1e-5)
    np.testing.assert_allclose(metrics["loss/tokens"], np.log(SPACE.vocabulary.size), rtol=0.05)
    np.testing.assert_allclose(metrics["loss/class"], 2 * np.log(len(CLASSES) + 1), rtol=0.5)  # two layers
    np.testing.assert_allclose(metrics["loss/labels"], np.log(2), rtol=0.8)
    assert 0 < metrics["loss/coupling"] <= 1
    moved = jax.tree.map(
        lambda x: x + 0.02 * jax.random.normal(KEY, x.shape), params
    )  # layers that begin at 0 hide others
    _, grads = gradient(moved, BATCH)
    dead = [jax.tree_util.keystr(path) for path, g in jax.tree.leaves_with_path(grads) if not np.any(np.asarray(g))]
    assert dead == []


def test_an_image_that_nobody_annotated_teaches_by_itself_only(params, gradient):
    bare = dict(BATCH)
    bare |= {name: np.zeros_like(BATCH[name]) for name in ("object_mask", "annotated", "has_mask", "labelled")}
    bare |= {"labels": np.full_like(BATCH["labels"], np.nan), "response_weight": 0 * BATCH["response_weight"]}
    (loss, metrics), _ = gradient(params, bare)
    assert {name for name in EVERYTHING if metrics[f"loss/{name}"]} == {"masked_image"}
    np.testing.assert_allclose(loss, metrics["loss/masked_image"])


def test_padding_changes_nothing(params, gradient):
    changed = dict(BATCH)
    free = ~BATCH["object_mask"]
    changed["boxes"] = np.where(free[..., None], 0.3, BATCH["boxes"])
    changed["classes"] = np.where(free, 2, BATCH["classes"])
    changed["masks"] = np.where(free[..., None, None], 1, BATCH["masks"])
    changed["prompt"] = np.where(BATCH["prompt_mask"], BATCH["prompt"], 130)
    (one, _), (other, _) = gradient(params, BATCH)[0], gradient(params, changed)[0]
    np.testing.assert_allclose(other, one, rtol=1e-6)


def test_it_learns_its_batch(params, gradient):
    tx = optax.adam(3e-3)

    @jax.jit
    def update(params, state, grads):
        updates, state = tx.update(grads, state)
        return optax.apply_updates(params, updates), state

    state, losses = tx.init(params), []
    for _ in range(40):
        (_, metrics), grads = gradient(params, BATCH)
        losses.append(metrics)
        params, state = update(params, state, grads)
    for name in ("class", "dice", "giou", "labels", "tokens"):
        assert losses[-1][f"loss/{name}"] < 0.75 * losses[0][f"loss/{name}"], name


LADDER = {
    "without composed": ({"model": {"composed": False}}, DECOMPOSED | {"masked_image"}),
    "without decomposed": ({"model": {"decomposed": False}}, {"tokens", "masked_image"}),
    "without unsupervised": ({"unsupervised": "none"}, EVERYTHING - {"masked_image"}),
    "first of two stages": ({"supervised": False}, {"masked_image"}),
    "teacher and student": ({"unsupervised": "consistency"}, EVERYTHING - {"masked_image"} | {"consistency"}),
    "contrast": ({"unsupervised": "contrast"}, EVERYTHING - {"masked_image"} | {"contrast"}),
    "learned queries": ({"model": {"selected": False}}, EVERYTHING - {"proposals"}),
    "image memory": ({"model": {"memory": "image"}}, EVERYTHING),
    "detached queries": ({"model": {"memory": "queries", "detach": True}}, EVERYTHING),
    "no image labels": ({"labels": ()}, EVERYTHING - {"labels"}),
    "swin": ({"model": {"backbone": {"name": "swin", "width": 16, "depths": (2, 2, 2, 2), "heads": (1, 1, 2, 2)}}}, EVERYTHING),
}  # fmt: skip


@pytest.mark.parametrize("name", LADDER)
def test_every_part_can_be_left_out(name):
    changes, expected = LADDER[name]
    system = unimed_case.build(**changes)
    shapes = jax.eval_shape(lambda key: meta.unbox(system.init(key, BATCH)), KEY)
    loss, metrics = jax.eval_shape(lambda p: system.loss(p, BATCH, KEY, train=True), shapes)
    assert loss.shape == () and loss.dtype == jnp.float32
    assert terms(metrics) == expected
    assert jax.tree.map(jnp.shape, metrics.get("statistics", {})) == jax.tree.map(
        jnp.shape, shapes.get("statistics", {})
    )


def test_averaged_teacher_follows_the_student_and_consistency_asks_unlabelled_images_only():
    system = unimed_case.build(unsupervised="consistency", supervised=False, decay=0.75)
    params = meta.unbox(jax.jit(system.init)(jax.random.key(0), BATCH))
    student = {name: value for name, value in params.items() if name != "statistics"}
    moved = jax.tree.map(lambda x: x + 1.0, student) | {"statistics": params["statistics"]}
    loss, metrics = jax.jit(lambda p: system.loss(p, BATCH, KEY, train=True))(moved)
    jax.tree.map(
        lambda new, old: np.testing.assert_allclose(new, old + 0.25, rtol=1e-5, atol=1e-6),
        metrics["statistics"]["teacher"],
        student,
    )
    assert np.isfinite(loss)


def test_map_of_classes_does_not_depend_on_the_order_of_the_queries():
    rng = np.random.default_rng(0)
    outputs = {"class": rng.normal(size=(1, 2, 5, 4)), "mask": 3 * rng.normal(size=(1, 2, 5, 6, 6))}
    order = rng.permutation(5)
    turned = {name: value[:, :, order] for name, value in outputs.items()}
    np.testing.assert_allclose(unimed.semantic_map(turned), unimed.semantic_map(outputs), atol=1e-4)
    sure = {"class": np.full((1, 1, 1, 3), -20.0), "mask": np.where(np.eye(4) > 0, 20.0, -20.0)[None, None, None]}
    sure["class"][..., 1] = 20.0
    np.testing.assert_array_equal(unimed.semantic_map(sure)[0] > 0, [np.zeros((4, 4)), np.eye(4)])


def test_agreement_is_nought_where_tokens_and_queries_say_the_same():
    bins = COORDINATE_START + np.round(BATCH["boxes"] * (COORDINATE_BINS - 1)).astype(int)
    logits = 50.0 * jax.nn.one_hot(BATCH["target"], SPACE.vocabulary.size)
    matched = jnp.tile(jnp.arange(OBJECTS), (4, 1))
    same = unimed.agreement(logits, jnp.asarray(BATCH["boxes"]), matched, BATCH)
    np.testing.assert_allclose(same, 0, atol=0.02)
    shifted = unimed.agreement(logits, jnp.asarray(BATCH["boxes"]) + 0.5, matched, BATCH)
    assert shifted > 0.8
    absent = BATCH | {"target": np.where(BATCH["target"] == bins[0, 0, 0], bins[0, 0, 0] + 40, BATCH["target"])}
    assert unimed.agreement(logits, jnp.asarray(BATCH["boxes"]), matched, absent) >= 0


def test_regions_of_names_that_were_never_trained(params):
    ids, mask = SPACE.encode_names(["left lung", "a thing", "cell"])
    find = jax.jit(SYSTEM.regions)
    found = find(params, BATCH, ids, mask)
    assert found.boxes.shape == (4, 8, 4) and found.scores.shape == (4, 8, 3)
    assert found.masks.shape == (4, 8, SIDE, SIDE) and found.image.shape == (4, 3)
    assert bool((found.scores.sum(-1) < 1).all())  # the rest is "nothing"
    order = np.array([2, 0, 1])
    turned = find(params, BATCH, ids[order], mask[order])
    np.testing.assert_allclose(turned.image, found.image[:, order], atol=1e-5)


def deciding(model, batch, ids):
    """Logits of the whole response as the pointer decides them."""
    decoded, seen, _ = SYSTEM._look(model, unimed.normalise(batch["image"]))
    return model.respond(batch | {"response": ids}, ids, model.recall(seen, decoded), decide=True)


@pytest.mark.parametrize("left", [0, 2])
def test_pads_around_a_prompt_that_ends_with_a_box_change_nothing(params, left):
    """Written token by token, and read at once behind a prompt without pads."""
    box = [COORDINATE_START + i for i in (100, 200, 500, 800)]
    prompt = np.tile(np.array([1, 20, 30, *box], np.int32), (4, 1))
    bare = {name: x for name, x in BATCH.items() if name != "segment"}
    bare |= {"prompt": prompt, "prompt_mask": np.ones(prompt.shape, bool)}
    sides = ((0, 0), (left, 2 - left))
    padded = bare | {name: np.pad(bare[name], sides) for name in ("prompt", "prompt_mask")}
    trusting = params | {
        "pointer": params["pointer"] | {"trust": jax.tree.map(lambda x: x + 3.0, params["pointer"]["trust"])}
    }
    ids = jax.jit(lambda p: SYSTEM.generate(p, padded, KEY, Greedy(), 6))(trusting)
    decided = jax.jit(lambda p: SYSTEM.model.apply({"params": p}, bare, ids, method=deciding))(trusting)
    ended = np.cumsum(np.asarray(ids) == EOS, axis=1) > 0
    np.testing.assert_array_equal(np.where(ended, 0, ids), np.where(ended, 0, jnp.argmax(decided, -1)))


def test_composed_decoder_writes_and_scores(params):
    ids = jax.jit(lambda p: SYSTEM.generate(p, BATCH, KEY, Greedy(), 5))(params)
    assert ids.shape == (4, 5)
    first = jax.jit(SYSTEM.first_logits)(params, BATCH)
    every = jax.jit(SYSTEM.response_logits)(params, BATCH, ids)
    np.testing.assert_allclose(every[:, 0], first, atol=1e-4)
    decided = jax.jit(lambda p: SYSTEM.model.apply({"params": p}, BATCH, ids, method=deciding))(params)
    ended = np.cumsum(np.asarray(ids) == EOS, axis=1) > 0  # written token by token with a cache, read at once without
    np.testing.assert_array_equal(np.where(ended, 0, ids), np.where(ended, 0, jnp.argmax(decided, -1)))
    beam = jax.jit(lambda p: SYSTEM.generate(p, BATCH, KEY, Beam(1), 5))(params)
    np.testing.assert_array_equal(beam, ids)


def test_wrong_configs_are_named():
    for changes, message in (
        ({"unsupervised": "mim"}, "unsupervised 'mim'"),
        ({"weights": {"dise": 1.0}}, "dise"),
        ({"supervised": False, "unsupervised": "none"}, "nothing is left"),
        ({"labels": ("nodul",)}, "nodule"),
    ):
        with pytest.raises(UserError, match=message):
            unimed_case.build(**changes)
    with pytest.raises(UserError, match="views is 2"):
        systems.build(CONFIG, SPACE, SIDE, 2)
    for model, message in (
        ({"memory": "queries", "decomposed": False}, "needs the decomposed"),
        ({"backbone": {"name": "resnet"}}, "backbone.name 'resnet'"),
        ({"composed": False, "decomposed": False}, "both off"),
    ):
        with pytest.raises(UserError, match=message):
            jax.eval_shape(lambda key, model=model: unimed_case.build(model=model).init(key, BATCH), KEY)
    system = unimed_case.build(model={"composed": False})
    with pytest.raises(UserError, match="without the composed decoder"):
        system.first_logits({}, BATCH)


def test_case_holds_what_it_says():
    told = region_sequences.read_detection(BATCH["target"][1], SPACE)
    np.testing.assert_allclose(np.sort(told.boxes, 0), np.sort(BATCH["boxes"][1], 0), atol=1e-3)
    assert BATCH["prompt"].shape == (4, PROMPT)
