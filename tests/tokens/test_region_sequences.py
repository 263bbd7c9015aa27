"""Boxes, outlines and codes as sequences: exact inverses up to quantisation, and None for what is malformed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unimedvlp.errors import UserError
from unimedvlp.records import MODALITIES
from unimedvlp.tokens import box_noise, geometry, region_sequences, sequences, text, vocabulary
from unimedvlp.tokens.box_noise import Noise
from unimedvlp.tokens.space import TokenSpace

CLASSES = ("nodule", "pleural effusion", "cardiomegaly")
SPACE = TokenSpace.create(CLASSES, text.train(["the heart is normal", "a nodule in the left lung"] * 4, size=300))
HALF_BIN = 0.5 / 999 + 1e-6
fractions = st.floats(0, 1, width=32)
seeds = st.integers(0, 2**32 - 1)
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16))
any_ids = st.lists(
    st.one_of(
        st.integers(0, SPACE.vocabulary.size - 1),
        st.sampled_from([vocabulary.EOS, vocabulary.SEP, vocabulary.NEG, vocabulary.NOISE]),
        st.integers(vocabulary.COORDINATE_START, vocabulary.COORDINATE_START + 999),
        st.integers(vocabulary.CLASS_START, vocabulary.CLASS_START + 3),
    ),
    max_size=14,
)


@st.composite
def objects(draw, most=6):
    """Boxes [K, 4], some without height or width, and their classes."""
    corners = draw(hnp.arrays(np.float32, (draw(st.integers(0, most)), 2, 2), elements=fractions))
    boxes = np.sort(corners, axis=1).reshape(-1, 4)
    return boxes, draw(st.lists(st.sampled_from(CLASSES), min_size=len(boxes), max_size=len(boxes)))


def rows(found):
    """Objects in a comparable order."""
    table = [(*np.rint(box * 999), name) for box, name in zip(found.boxes, found.classes, strict=True)]
    return sorted(table)


@given(objects(), st.sampled_from(MODALITIES), st.none() | seeds)
def test_detection_inverts(given_objects, modality, seed):
    boxes, classes = given_objects
    rng = None if seed is None else np.random.default_rng(seed)
    sequence = region_sequences.detection(SPACE, modality, boxes, classes, rng)
    found = region_sequences.read_detection(sequence.response, SPACE)
    assert found.boxes.shape == (len(boxes), 4) and found.boxes.dtype == np.float32
    bins = geometry.dequantize(geometry.quantize(boxes))
    assert rows(found) == rows(region_sequences.Detected(bins, tuple(classes)))
    if rng is None:
        assert np.abs(found.boxes - boxes).max(initial=0) <= HALF_BIN and found.classes == tuple(classes)
    assert (sequence.target, sequence.weight, sequence.dropped) == (None, None, 0)
    assert sequence.prompt == sequences.head(SPACE, "detect", modality)


@given(objects(), seeds)
def test_noise_teaches_the_objects_and_nothing_false(given_objects, seed):
    boxes, classes = given_objects
    noise = Noise(corruption=0.5)
    sequence = region_sequences.detection(
        SPACE, "ct", boxes, classes, np.random.default_rng(seed), objects=8, noise=noise
    )
    count = len(boxes)
    assert len(sequence.response) == len(sequence.target) == len(sequence.weight) == 8 * 5 + 1
    expected = np.ones((8, 5))
    expected[count:, :4] = 0
    np.testing.assert_array_equal(sequence.weight, [*expected.ravel(), noise.end_weight])
    said = region_sequences.read_detection(sequence.target, SPACE)
    plain = region_sequences.detection(SPACE, "ct", boxes, classes)
    assert rows(said) == rows(region_sequences.read_detection(plain.response, SPACE))
    everything = region_sequences.read_detection(sequence.target, SPACE, noise=True)
    assert len(everything.boxes) == 8 and everything.classes.count(None) == 8 - count
    fed, taught = (np.reshape(ids[:-1], (8, 5)) for ids in (sequence.response, sequence.target))
    np.testing.assert_array_equal(fed[:, :4], taught[:, :4])
    assert region_sequences.read_detection(sequence.response, SPACE) is not None, "what is fed is well formed too"


def test_noise_is_what_it_says():
    rng = np.random.default_rng(0)
    boxes = np.array([[0.4, 0.4, 0.6, 0.6]])
    found = np.concatenate([box_noise.noise_boxes(boxes, 20, rng, 0.05) for _ in range(200)])
    assert (found >= 0).all() and (found <= 1).all() and (found[:, 2:] >= found[:, :2]).all()
    near = np.abs(found - boxes).max(axis=1) <= 0.02 + 1e-9
    sized = np.isclose(found[:, 2:] - found[:, :2], 0.2).all(axis=1) & ~near
    assert 0.45 < near.mean() < 0.58 and 0.1 < sized.mean() < 0.3
    wild = box_noise.noise_boxes(boxes, 500, rng, 2.0)
    assert (wild[:, 2:] >= wild[:, :2]).all()
    assert box_noise.noise_boxes(np.zeros((0, 4)), 5, rng, 0.05).shape == (5, 4), "without objects all are random"
    classes = np.full(4000, vocabulary.CLASS_START)
    for share, same in ((0.0, 1.0), (1.0, 1 / 6), (0.5, 7 / 12)):
        changed = box_noise.corrupted(classes, 3, rng, share)
        assert abs((changed == classes).mean() - same) < 0.03
        assert abs((changed == vocabulary.NOISE).mean() - share / 2) < 0.03
        assert set(changed) <= {vocabulary.NOISE, *range(vocabulary.CLASS_START, vocabulary.CLASS_START + 3)}


def test_order_and_noise_follow_the_generator_alone():
    boxes, classes = np.linspace(0, 1, 20).reshape(5, 4), ["nodule"] * 5

    def build(seed):
        return region_sequences.detection(SPACE, "ct", boxes, classes, np.random.default_rng(seed), noise=Noise())

    assert build(3) == build(3) != build(4)


def test_more_objects_than_slots_are_counted():
    boxes, classes = np.tile([0.1, 0.1, 0.2, 0.2], (7, 1)), ["nodule"] * 7
    for rng, noise in ((None, None), (np.random.default_rng(0), Noise())):
        sequence = region_sequences.detection(SPACE, "ct", boxes, classes, rng, objects=5, noise=noise)
        assert sequence.dropped == 2 and len(sequence.response) == 26


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0.1, 0.1, 1.2, 0.2], "outside the image"),
        ([-0.1, 0.1, 0.2, 0.2], "outside the image"),
        ([0.5, 0.1, 0.4, 0.2], "ends before it begins"),
        ([np.nan, 0.1, 0.4, 0.2], "outside the image"),
    ],
)
def test_impossible_boxes_are_refused(box, message):
    boxes = np.array([box])
    for build in (
        lambda: region_sequences.detection(SPACE, "ct", boxes, ["nodule"]),
        lambda: region_sequences.referral(SPACE, "ct", "it", boxes[0]),
        lambda: region_sequences.segmentation(SPACE, "ct", "nodule", np.ones((3, 3)), box=boxes[0]),
    ):
        with pytest.raises(UserError, match=message):
            build()


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(UserError, match="1 boxes have 2 classes"):
        region_sequences.detection(SPACE, "ct", np.zeros((1, 4)), ["nodule", "nodule"])
    with pytest.raises(UserError, match="1 boxes have 0 masks"):
        region_sequences.detection_and_masks(SPACE, "ct", np.zeros((1, 4)), ["nodule"], [])
    with pytest.raises(UserError, match="unknown class 'nodul'; nearest: nodule"):
        region_sequences.detection(SPACE, "ct", np.zeros((1, 4)), ["nodul"])


@given(masks, st.sampled_from(CLASSES), st.booleans())
def test_segmentation_inverts(mask, name, boxed):
    box = np.array([0.0, 0.25, 0.5, 1.0]) if boxed else None
    sequence = region_sequences.segmentation(SPACE, "mr", name, mask, box=box, points=2000)
    assert SPACE.vocabulary.class_name(sequence.prompt[3]) == name and len(sequence.prompt) == 4 + 4 * boxed
    parts = region_sequences.read_segmentation(sequence.response)
    expected = geometry.polygons(mask, 2000).parts
    assert len(parts) == len(expected) and (len(parts) > 0) == mask.any()
    assert all(np.abs(a - b).max() <= HALF_BIN for a, b in zip(parts, expected, strict=True))
    filled = geometry.rasterize(expected, *mask.shape)
    np.testing.assert_array_equal(geometry.rasterize(parts, *mask.shape), filled)


def test_segmentation_keeps_to_its_points():
    mask = np.random.default_rng(0).uniform(size=(64, 64)) > 0.8
    sequence = region_sequences.segmentation(SPACE, "mr", "nodule", mask, points=40)
    parts = region_sequences.read_segmentation(sequence.response)
    count = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
    assert sum(map(len, parts)) <= 40 and len(parts) + sequence.dropped <= count and sequence.dropped > 50


@given(st.none() | hnp.arrays(np.float32, (2, 2), elements=fractions))
def test_referral_inverts(corners):
    box = None if corners is None else np.sort(corners, axis=0).ravel()
    sequence = region_sequences.referral(SPACE, "xray", "the nodule in the left lung", box)
    assert sequence.prompt[-1] == vocabulary.SEP
    assert sequences.read_question(sequence.prompt, SPACE) == "the nodule in the left lung"
    found = region_sequences.read_referral(sequence.response)
    assert found.shape == (box is not None, 4)
    assert box is None or np.abs(found[0] - box).max() <= HALF_BIN


@settings(max_examples=30)
@given(objects(most=4), seeds, st.booleans())
def test_combinations_invert(given_objects, seed, noisy):
    boxes, classes = given_objects
    rng = np.random.default_rng(seed)
    shapes = [rng.uniform(size=(9, 9)) > 0.5 * (i % 2) for i in range(len(boxes))]
    parts = region_sequences.detection_and_masks(
        SPACE, "xray", boxes, classes, shapes, rng, objects=3, noise=Noise() if noisy else None
    )
    extra = [
        ("classify", sequences.classification(SPACE, "xray", "nodule")),
        ("report", sequences.report(SPACE, "xray", "a nodule")),
    ]
    sequence = region_sequences.combined(SPACE, [*parts, *extra])
    tasks = ["detect", *(["segment"] if len(boxes) else []), "classify", "report"]
    modality = SPACE.vocabulary.modality("xray")
    assert sequence.prompt == [vocabulary.BOS, *map(SPACE.vocabulary.task, tasks), modality]
    ids = sequence.target if noisy else sequence.response
    (_, found), *others = region_sequences.read_combined(ids, "detect", SPACE)
    assert sequence.dropped == max(len(boxes) - 3, 0) == len(boxes) - len(found.boxes)
    *outlines, label, report = others
    assert (label, report) == (("classify", "nodule"), ("report", "a nodule"))
    assert len(outlines) == len(found.boxes)
    bins = geometry.quantize(boxes)
    for (task, polygons), box, name in zip(outlines, found.boxes, found.classes, strict=True):
        same = [i for i in range(len(boxes)) if (bins[i] == np.rint(box * 999)).all() and classes[i] == name]
        made = [geometry.rasterize(geometry.polygons(shapes[i]).parts, 9, 9) for i in same]
        assert task == "segment" and any((geometry.rasterize(polygons, 9, 9) == mask).all() for mask in made)
    if noisy:
        assert len(sequence.response) == len(sequence.target) == len(sequence.weight)
        different = np.array(sequence.response) != np.array(sequence.target)
        assert not different[15:].any(), "only the classes of boxes are fed otherwise than they are taught"
        assert sequence.weight[15:] == [1.0] * (len(sequence.target) - 15)


def test_a_phrase_then_its_outline():
    mask = np.zeros((20, 20), bool)
    mask[4:12, 5:9] = True
    box = region_sequences.referral(SPACE, "xray", "the nodule", np.array([0.2, 0.25, 0.6, 0.45]))
    outline = region_sequences.segmentation(SPACE, "xray", "nodule", mask)
    sequence = region_sequences.combined(SPACE, [("refer", box), ("segment", outline)])
    assert sequence.prompt[2:] == [SPACE.vocabulary.task("segment"), *box.prompt[2:]]
    (_, found), (_, polygons) = region_sequences.read_combined(sequence.response, "refer", SPACE)
    assert found.shape == (1, 4) and (geometry.rasterize(polygons, 20, 20) == mask).all()
    cut = [*sequence.response[:4], vocabulary.EOS]
    assert len(region_sequences.read_combined(cut, "refer", SPACE)) == 1, "outlines may be missing altogether"
    twice = [*sequence.response[:-1], *sequence.response[4:]]
    assert region_sequences.read_combined(twice, "refer", SPACE) is None, "one object, two outlines"


@given(st.lists(st.integers(0, 511), min_size=1, max_size=20))
def test_codes_invert(codes):
    mask = region_sequences.mask_codes(SPACE, "fundus", "nodule", codes)
    assert mask.prompt[-1] == vocabulary.MASK
    assert region_sequences.read_mask_codes(mask.response).tolist() == codes
    drawn = region_sequences.image_codes(SPACE, "fundus", codes, "a nodule")
    assert SPACE.decode_text(drawn.context) == "a nodule" and drawn.prompt[1] == SPACE.vocabulary.task("generate_image")
    assert region_sequences.read_image_codes(drawn.response).tolist() == codes
    seen = region_sequences.image_codes(SPACE, "fundus", codes)
    assert seen.context == [] and seen.prompt[1] == SPACE.vocabulary.task("reconstruct")
    assert region_sequences.read_mask_codes(seen.response) is None, "of another range"


@pytest.mark.parametrize("codes", [[], [-1], [512]])
def test_codes_outside_their_range_are_refused(codes):
    with pytest.raises(UserError, match=r"some numbers in 0\.\.511"):
        region_sequences.mask_codes(SPACE, "fundus", "nodule", codes)


@settings(max_examples=300)
@given(any_ids)
def test_malformed_responses_are_none_never_a_crash(ids):
    readers = (
        lambda ids: region_sequences.read_detection(ids, SPACE),
        lambda ids: region_sequences.read_combined(ids, "detect", SPACE),
        lambda ids: region_sequences.read_combined(ids, "refer", SPACE),
        region_sequences.read_segmentation,
        region_sequences.read_referral,
        region_sequences.read_mask_codes,
        region_sequences.read_image_codes,
    )
    for read in readers:
        assert read([i for i in ids if i != vocabulary.EOS]) is None, "no end"
        read([*ids, vocabulary.EOS])


def test_what_counts_as_malformed():
    c, v = vocabulary.COORDINATE_START, vocabulary
    box, nodule = [c, c, c + 1, c + 1], v.CLASS_START
    read = region_sequences.read_detection
    assert len(read([*box, nodule, v.EOS], SPACE).boxes) == 1 and len(read([v.EOS], SPACE).boxes) == 0
    for wrong in (
        [*box],
        [*box, nodule + 3],
        [*box, v.NEG],
        [*box[:3], nodule, nodule],
        [c + 2, c, c + 1, c + 1, nodule],
    ):
        assert read([*wrong, v.EOS], SPACE) is None
    read = region_sequences.read_segmentation
    assert len(read([*box, c, c, v.EOS])) == 1 and read([v.NEG, v.EOS]) == []
    for wrong in ([], box, [*box, c], [*box, c, c, v.SEP], [v.NEG, *box, c, c], [*box, c, v.TEXT_START]):
        assert read([*wrong, v.EOS]) is None


def test_permuted_classes_permute_their_ids_alone():
    turned = TokenSpace.create(CLASSES[::-1], SPACE.tokenizer)
    boxes, names = np.linspace(0, 1, 12).reshape(3, 4), list(CLASSES)
    ids, moved = (region_sequences.detection(space, "ct", boxes, names).response for space in (SPACE, turned))
    assert region_sequences.read_detection(moved, turned).classes == CLASSES
    assert region_sequences.read_detection(moved, SPACE).classes == CLASSES[::-1]
    assert [i for k, i in enumerate(ids) if k % 5 != 4] == [i for k, i in enumerate(moved) if k % 5 != 4]
