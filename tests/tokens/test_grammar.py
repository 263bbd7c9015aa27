"""No sequence decoded under a grammar is malformed, and no well-formed one is forbidden."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.models.cache import Cache
from unimedvlp.models.generate import Beam, Greedy, TopP, generate
from unimedvlp.tokens import geometry, grammar, region_sequences, sequences, text, vocabulary
from unimedvlp.tokens.box_noise import Noise
from unimedvlp.tokens.space import TokenSpace

CLASSES = ("nodule", "pleural effusion", "cardiomegaly")
SPACE = TokenSpace.create(CLASSES, text.train(["the heart is normal", "a nodule in the left lung"] * 4, size=300))
BATCH, LENGTH = 16, 40

READERS = {
    "classify": lambda ids: sequences.read_classification(ids, SPACE),
    "findings": sequences.read_finding,
    "report": lambda ids: sequences.read_text(ids, SPACE),
    "detect": lambda ids: region_sequences.read_detection(ids, SPACE),
    "refer": region_sequences.read_referral,
    "segment": region_sequences.read_segmentation,
    "reconstruct": region_sequences.read_image_codes,
    ("detect", "segment"): lambda ids: region_sequences.read_combined(ids, "detect", SPACE),
    ("detect", "segment", "classify"): lambda ids: region_sequences.read_combined(ids, "detect", SPACE),
    ("refer", "segment"): lambda ids: region_sequences.read_combined(ids, "refer", SPACE),
    ("detect", "report"): lambda ids: region_sequences.read_combined(ids, "detect", SPACE),
}
LIMITS = {"objects": 3, "points": 12}


def built(tasks, length, **options):
    codes = {"codes": 4} if tasks == "reconstruct" else {}
    return grammar.build(SPACE.vocabulary, tasks, length=length, **{**LIMITS, **codes, **options})


def padded(automaton):
    """The same automaton with tables of one size for all tasks, so that a function of them compiles once."""
    rows = {name: grow(getattr(automaton, name), 2000) for name in ("usual", "closing", "need", "above", "follow")}
    follow = np.pad(rows.pop("follow"), ((0, 0), (0, 13 - automaton.follow.shape[1])))
    return dataclasses.replace(automaton, sets=grow(automaton.sets, 20), follow=follow, **rows)


def grow(table, rows):
    return np.pad(table, [(0, rows - len(table))] + [(0, 0)] * (table.ndim - 1))


@partial(jax.jit, static_argnames="method")
def write(automaton, method, key, bias):
    """Ids [B, 40] of a decoder with random logits; `bias` [V] is added, so that some sequences are long, others short."""
    cache = Cache.empty((), jnp.ones((BATCH, 1), bool), 1 + LENGTH)

    def extend(ids, mask, cache):
        shape = (*ids.shape, SPACE.vocabulary.size)
        logits = 3 * jax.random.normal(jax.random.fold_in(key, cache.used), shape) + bias
        return logits, cache.replace(used=cache.used + ids.shape[1])

    prompt = jnp.ones((BATCH, 1), jnp.int32)
    return generate(
        extend, cache, prompt, prompt > 0, max_new=LENGTH, method=method, rng=key, allowed=automaton
    )[0]  # fmt: skip


@pytest.mark.parametrize("tasks", READERS, ids=str)
def test_whatever_is_decoded_can_be_read(tasks):
    automaton, said = padded(built(tasks, LENGTH)), set()
    rare = jnp.array([vocabulary.EOS, vocabulary.SEP, vocabulary.NEG])
    for method in (Greedy(), TopP(0.9), Beam(3)):
        for seed, bias in enumerate((-30.0, 0.0, 8.0)):
            biases = jnp.zeros(SPACE.vocabulary.size).at[rare].set(bias)
            ids = np.asarray(write(automaton, method, jax.random.key(seed), biases))
            assert (ids == vocabulary.EOS).any(axis=1).all()
            assert all(READERS[tasks](row) is not None for row in ids)
            said |= {tuple(row) for row in ids.tolist()}
    lengths = {row.index(vocabulary.EOS) for row in said}
    assert len(said) > 2 and len(lengths) > (tasks not in ("classify", "findings", "reconstruct"))


@pytest.mark.parametrize(("tasks", "least"), [("detect", 1), ("segment", 2), (("detect", "segment"), 1), ("report", 1)])
def test_sequences_end_in_time_however_little_there_is(tasks, least):
    biases = jnp.zeros(SPACE.vocabulary.size).at[jnp.array([vocabulary.EOS, vocabulary.NEG])].set(-30.0)
    for length in range(least, least + 12):
        ids = np.asarray(write(padded(built(tasks, length)), TopP(0.9), jax.random.key(length), biases))
        assert not ids[:, length:].any()
        assert all(READERS[tasks](row) is not None for row in ids)
    with pytest.raises(UserError, match=f"at least {least} tokens; length is {least - 1}"):
        built(tasks, least - 1)


@jax.jit
def step(automaton, state, token):
    return automaton(state)[0, token[0]], automaton.next(state, token)


def accepts(automaton, ids):
    """Whether an automaton lets a sequence pass, pads after its end included."""
    automaton = padded(automaton)
    state = automaton.start(1)
    for token in [*ids, vocabulary.PAD, vocabulary.PAD]:
        allowed, state = step(automaton, state, jnp.array([token]))
        if not allowed:
            return False
    return True


def examples(rng):
    """(tasks, response) of every form, as training makes them."""
    boxes = np.sort(rng.uniform(size=(3, 2, 2)), axis=1).reshape(3, 4)
    boxes[2, 2:] = boxes[2, :2]
    names = [CLASSES[i] for i in rng.integers(3, size=3)]
    masks = [
        geometry.rasterize([rng.uniform(size=(4, 2))], 20, 20),
        np.zeros((20, 20)),
        rng.uniform(size=(20, 20)) > 0.9,
    ]
    limits = {"objects": LIMITS["objects"]}
    found = region_sequences.detection(SPACE, "xray", boxes, names, rng, **limits)
    noisy = region_sequences.detection(SPACE, "xray", boxes[:1], names[:1], rng, noise=Noise(), **limits)
    outlines = [region_sequences.segmentation(SPACE, "xray", names[0], mask, points=LIMITS["points"]) for mask in masks]
    both = region_sequences.detection_and_masks(
        SPACE, "xray", boxes, names, masks, rng, noise=Noise(), points=LIMITS["points"], **limits
    )
    report = ("report", sequences.report(SPACE, "xray", "a nodule"))
    label = ("classify", sequences.classification(SPACE, "xray", "nodule"))
    referred = region_sequences.referral(SPACE, "xray", "the nodule", boxes[0])
    yield "detect", found.response
    yield from (("detect", ids) for ids in (noisy.response, noisy.target))
    yield from (("segment", outline.response) for outline in outlines)
    yield from (("refer", ids) for ids in (referred.response, [vocabulary.NEG, vocabulary.EOS]))
    yield ("detect", "segment"), region_sequences.combined(SPACE, both).target
    yield ("detect", "segment", "classify"), region_sequences.combined(SPACE, [*both, label]).target
    yield (
        ("refer", "segment"),
        region_sequences.combined(SPACE, [("refer", referred), ("segment", outlines[0])]).response,
    )
    yield ("detect", "report"), region_sequences.combined(SPACE, [("detect", found), report]).response
    yield "reconstruct", region_sequences.image_codes(SPACE, "xray", [0, 1023, 7, 7]).response
    yield "classify", label[1].response
    yield "report", report[1].response
    yield from (("findings", [token, vocabulary.EOS]) for token in sequences.VALUE_TOKENS.values())


@pytest.mark.parametrize("seed", range(3))
def test_whatever_training_says_is_allowed(seed):
    tables = {tasks: built(tasks, 200) for tasks in READERS}
    for tasks, response in examples(np.random.default_rng(seed)):
        assert READERS[tasks](response) is not None
        assert accepts(tables[tasks], response), (tasks, response)


def test_slots_take_their_own_tokens_only():
    c, v = vocabulary.COORDINATE_START, vocabulary
    nodule, detect = v.CLASS_START, built("detect", 30)
    box = [c + 10, c + 20, c + 10, c + 999]
    assert accepts(detect, [*box, nodule, v.EOS]) and accepts(detect, [*box, v.NOISE, v.EOS])
    for wrong in (
        [*box, v.EOS],  # no class
        [*box[:3], nodule, v.EOS],  # three coordinates
        [*box, nodule, c, v.EOS],  # a box begun
        [*box, nodule + len(CLASSES), v.EOS],  # no registered class
        [*box, v.TEXT_START, v.EOS],
        [c + 10, c + 20, c + 9, c + 999, nodule, v.EOS],  # ends above where it begins
        [c + 10, c + 20, c + 10, c + 19, nodule, v.EOS],  # ends left of where it begins
        [*box, nodule] * 4 + [v.EOS],  # more objects than slots
        [v.PAD, v.EOS],
        [v.EOS, v.EOS],
    ):
        assert not accepts(detect, wrong), wrong
    segment, point = built("segment", 60), [c, c + 999]
    assert accepts(segment, [*point * 3, v.EOS]) and accepts(segment, [*point * 3, v.SEP, *point * 9, v.EOS])
    for wrong in (
        [v.EOS],
        point * 2 + [v.EOS],
        [*point * 3, c, v.EOS],
        [v.SEP],
        [*point * 3, v.SEP, v.EOS],
        point * 13,
    ):
        assert not accepts(segment, wrong), wrong
    assert not accepts(segment, [*point * 10, v.SEP, c]), "no room for another component"
    assert not accepts(segment, [v.NEG, *point])
    report, last = built("report", 30), v.TEXT_START + SPACE.tokenizer.size - 1
    assert accepts(report, [v.TEXT_START, last, v.EOS]) and last + 1 < SPACE.vocabulary.size
    assert not accepts(report, [last + 1, v.EOS]), "a row of the table without a meaning"


def test_masks_are_as_many_as_objects():
    c, v = vocabulary.COORDINATE_START, vocabulary
    both, box = built(("detect", "segment"), 100), [c, c, c + 5, c + 5]
    mask = [v.SEP, SPACE.vocabulary.task("segment"), v.NEG]
    objects = [*box, v.CLASS_START, *box, v.NOISE, *box, v.CLASS_START + 1]
    assert accepts(both, [*objects, *mask * 2, v.EOS]) and accepts(both, [*box, v.NOISE, v.EOS])
    assert not accepts(both, [*objects, *mask, v.EOS]) and not accepts(both, [*objects, *mask * 3, v.EOS])


def test_classes_can_be_narrowed_and_are_named_right_in_any_order():
    turned = TokenSpace.create(CLASSES[::-1], SPACE.tokenizer)
    for space in (SPACE, turned):
        automaton = grammar.build(space.vocabulary, "classify", length=2, classes=("nodule",))
        allowed = np.flatnonzero(automaton(automaton.start(1))[0])
        assert [space.vocabulary.class_name(token) for token in allowed] == ["nodule"]
    with pytest.raises(UserError, match="unknown class 'nodul'"):
        built("detect", 30, classes=("nodul",))
    with pytest.raises(UserError, match="there is none to name"):
        built("classify", 30, classes=())


def test_tables_serve_as_argument_and_as_constant():
    automaton, state = built("detect", 30), built("detect", 30).start(2)
    constant = jax.jit(lambda state: automaton(state))(state)
    np.testing.assert_array_equal(constant, jax.jit(lambda a, state: a(state))(automaton, state))
    assert hash(automaton) == hash(automaton) and constant.shape == (2, SPACE.vocabulary.size)


def test_bad_requests_say_what_is_wrong():
    with pytest.raises(UserError, match="segment cannot follow report"):
        built(("report", "segment"), 50)
    with pytest.raises(UserError, match="needs their number"):
        grammar.build(SPACE.vocabulary, "reconstruct", length=50)
    with pytest.raises(UserError, match="at least 3 points"):
        built("segment", 50, points=2)
    with pytest.raises(UserError, match="unknown task 'detct'; nearest: detect"):
        built("detct", 50)
    with pytest.raises(UserError, match="'retrieve' has no grammar"):
        built("retrieve", 50)
