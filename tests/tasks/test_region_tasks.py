"""Detection, segmentation and referring: sequences invert, the grammar lets them through, right predictions score full marks."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import input
from data_pipelines.images import encode_png
from data_pipelines.transforms import Augment
from unimedvlp import objects, runs, tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation.evaluator import asked_names
from unimedvlp.records import NEGATIVE, POSITIVE, Record
from unimedvlp.systems.base import Regions
from unimedvlp.tasks.base import Reference, Samples, Sure
from unimedvlp.tokens import text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

NAMES = ("cell", "lung", "nodule", "wet", "dry")
LENGTH = 320
SIZE = 40


def study(shapes, i=0, **fields):
    """Ellipses (class, top, left, bottom, right in pixels of 40) as boxes and masks."""
    masks = []
    for _, top, left, bottom, right in shapes:
        y, x = np.ogrid[0.5:SIZE, 0.5:SIZE]
        inside = ((y - (top + bottom) / 2) * 2 / (bottom - top)) ** 2 + (
            (x - (left + right) / 2) * 2 / (right - left)
        ) ** 2
        masks.append((inside <= 1) * np.uint8(255))
    names = tuple(name for name, *_ in shapes)
    boxes = np.array([objects.box_of(mask > 0) for mask in masks], np.float32).reshape(-1, 4)
    fields = {"labels": {"wet": POSITIVE if i % 2 else NEGATIVE, "dry": NEGATIVE if i % 2 else POSITIVE}} | fields
    image = encode_png(np.zeros((SIZE, SIZE), np.uint8))
    return Record(
        f"s{i}", images=(image,), views=("frontal",), modality="xray", boxes=boxes, box_classes=names,
        masks=tuple(encode_png(mask) for mask in masks), mask_classes=names, **fields,
    )  # fmt: skip


RECORDS = [
    study(
        [("lung", 4, 2, 30, 16 + i % 3), ("lung", 5, 22, 30, 38), ("nodule", 10 + i % 5, 6, 18 + i % 5, 14)][
            : 2 + i % 2
        ],
        i,
    )
    for i in range(12)
]
TASKS = {
    "detect": tasks.build("detect"),
    "segment": tasks.build({"name": "segment", "points": 24}),
    "segment absent": tasks.build({"name": "segment", "classes": ["lung", "nodule"], "points": 24}),
    "refer": tasks.build({"name": "refer", "classes": ["nodule"]}),
    "refer masks": tasks.build({"name": "refer", "classes": ["nodule"], "masks": True}),
    "detect_segment": tasks.build("detect_segment"),
    "detect_classify": tasks.build({"name": "detect_classify", "labels": ["wet", "dry"]}),
}
SPACE = TokenSpace.create(
    NAMES, text.train([t for task in TASKS.values() for record in RECORDS for t in task.texts(record)], size=300)
)


def samples(task, records) -> Samples:
    found = [(i, unit) for i, record in enumerate(records) if task.serves(record) for unit in task.units(record)]
    places = np.array([i for i, _ in found])
    thumbnails = np.random.default_rng(0).random((len(records), 9)).astype(np.float32)
    truths = [task.truth(records[i], unit) for i, unit in found]
    return Samples(truths, places, lambda: thumbnails[places], [unit for _, unit in found])


def read(task, response, sure=None):
    return task.read(response, SPACE, sure) if task.scored else task.read(response, SPACE)


def spoken(task, record, unit):
    """What is read back of the record's own sequence, by a system that is certain of its classes."""
    response = np.array(task.sequence(record, unit, SPACE).response)
    return read(task, response, Sure(response, np.ones(len(response))))


@jax.jit
def accepted(automaton, ids):
    """Whether a grammar lets ids `[R]`, padded, through, token by token."""

    def step(state, token):
        return automaton.next(state, token[None]), automaton(state)[0, token]

    return jax.lax.scan(step, automaton.start(1), ids)[1].all()


@pytest.mark.parametrize("name", TASKS)
def test_what_is_written_is_read_and_scores_full_marks(name):
    task = TASKS[name]
    test = samples(task, RECORDS[6:])
    said = [spoken(task, RECORDS[6:][i], unit) for i, unit in zip(test.records, test.units, strict=True)]
    values = {k: x for metric in task.metrics(said, test, Reference(test)) for k, x in metric.point().items()}
    exact = {"ap50", "froc", "accuracy", "acc50"} | ({"ap50/lung"} if "ap50" in task.headline else set())
    assert {k: values[k] for k in exact & set(values)} == pytest.approx(dict.fromkeys(exact & set(values), 1.0))
    for key in {"dice", "iou", "mask_ap50", "map"} & set(values):
        assert values[key] > 0.9, key
    assert values.get("hd95", 0) <= 1 and set(task.headline) <= set(values)


@pytest.mark.parametrize("name", TASKS)
def test_baselines_pages_and_malformed_predictions(name):
    task = TASKS[name]
    train, test = samples(task, RECORDS[:6]), samples(task, RECORDS[6:])
    for title, predictions in task.baselines(Reference(train), test).items():
        assert len(predictions) == len(test.truths), title
        for metric in task.metrics(predictions, test, Reference(train)):
            assert metric.point()
    nothing = [None] * len(test.truths)
    values = {k: x for metric in task.metrics(nothing, test, Reference(train)) for k, x in metric.point().items()}
    assert values[task.headline[0]] < 0.5
    right = spoken(task, RECORDS[-1], test.units[-1])
    assert {"prediction", "truth"} <= set(task.show(right, test.truths[-1])) <= {*task.show(None, test.truths[-1])}
    marks = task.marks(right, test.truths[-1])
    assert {mark.kind for mark in marks} == {"prediction", "truth"} and {mark.image for mark in marks} == {0, 1}
    task.marks(None, test.truths[-1])


@pytest.mark.parametrize("name", TASKS)
def test_the_grammar_lets_every_sequence_of_training_through(name):
    task = TASKS[name]
    automaton = task.grammar(SPACE, LENGTH)
    for i, record in enumerate(RECORDS[:4]):
        for unit in task.units(record):
            for rng in (None, np.random.default_rng(i)):
                sequence = task.sequence(record, unit, SPACE, rng)
                target = sequence.target or sequence.response
                assert len(target) == len(sequence.response)
                padded = np.pad(target, (0, LENGTH - len(target)))
                assert accepted(automaton, padded)
                assert not accepted(automaton, np.where(np.arange(LENGTH) == 1, v.BOS, padded))
                assert sequence.prompt[1] == SPACE.vocabulary.task(task.name)


shapes = st.lists(
    st.tuples(st.sampled_from(["cell", "lung"]), *[st.integers(0, 24)] * 2, *[st.integers(4, 15)] * 2),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25, deadline=None)
@given(shapes)
def test_any_objects_return(drawn):
    record = study([(name, top, left, top + high, left + wide) for name, top, left, high, wide in drawn])
    detect, both = TASKS["detect"], TASKS["detect_segment"]
    for task in (detect, both):
        (unit,) = task.units(record)
        truth, said = task.truth(record, unit), spoken(task, record, unit)
        assert said["classes"] == truth["classes"]
        np.testing.assert_allclose(said["boxes"], truth["boxes"], atol=0.51 / 999)
    for mask, polygons in zip(truth["masks"], said["masks"], strict=True):
        inside, outline = runs.decode(mask), polygons["polygons"]
        assert len(outline) == 1 and inside.any() and len(outline[0]) <= 2 * both.points


def test_training_draws_order_noise_and_forms_from_its_generator():
    detect, refer = TASKS["detect"], TASKS["refer"]
    one, other, same = (detect.sequence(RECORDS[1], None, SPACE, np.random.default_rng(i)) for i in (0, 1, 0))
    assert one == same != other
    assert len(one.response) == 5 * detect.objects + 1 and one.target.count(v.NOISE) == detect.objects - 3
    assert one.weight[:4] == [1] * 4 and one.weight[-1] < 1
    assert sorted(w for w in one.weight[15:20]) == [0, 0, 0, 0, 1]  # of a box that is none, only the class is taught
    prompts = {tuple(refer.sequence(RECORDS[1], "nodule", SPACE, np.random.default_rng(i)).prompt) for i in range(20)}
    assert len(prompts) == 4


def test_objects_without_a_place_are_counted():
    few = tasks.build({"name": "detect", "objects": 2})
    for rng in (None, np.random.default_rng(0)):
        assert few.sequence(RECORDS[1], None, SPACE, rng).dropped == 1
    both = tasks.build({"name": "detect_segment", "objects": 2})
    assert both.sequence(RECORDS[1], None, SPACE).dropped == 1


def test_absent_classes_are_asked_and_answered():
    task, refer = TASKS["segment absent"], TASKS["refer masks"]
    assert task.units(RECORDS[0]) == ["lung", "nodule"] and refer.units(RECORDS[0]) == ["nodule"]
    assert task.sequence(RECORDS[0], "nodule", SPACE).response == [v.NEG, v.EOS]
    assert refer.sequence(RECORDS[0], "nodule", SPACE).response == [v.NEG, v.EOS]
    prompts = [refer.sequence(record, "nodule", SPACE).prompt for record in RECORDS[:2]]
    assert prompts[0] == prompts[1]  # the prompt does not tell whether there is one
    said = spoken(task, RECORDS[0], "nodule")
    assert said == {"polygons": []} and spoken(refer, RECORDS[0], "nodule")["box"] is None


def test_what_cannot_serve_is_not_offered():
    bare = Record("s", images=RECORDS[0].images, views=("frontal",), modality="xray")
    assert not any(task.serves(bare) for task in TASKS.values())
    boxes_only = Record(
        "s", images=bare.images, views=bare.views, boxes=RECORDS[0].boxes, box_classes=RECORDS[0].box_classes
    )
    assert TASKS["detect"].serves(boxes_only) and not TASKS["detect_segment"].serves(boxes_only)
    assert not TASKS["refer masks"].serves(boxes_only)


def test_names_that_the_registry_does_not_have():
    record = study([("lung", 2, 2, 20, 20), ("clavicle", 22, 22, 38, 38)])
    assert TASKS["detect"].sequence(record, None, SPACE).response.count(SPACE.vocabulary.class_id("lung")) == 1
    with pytest.raises(UserError, match="unknown class 'clavicle'"):
        TASKS["detect"].sequence(record, None, SPACE, np.random.default_rng(0))
    with pytest.raises(UserError, match="unknown class 'clavicle'"):
        TASKS["segment"].sequence(record, "clavicle", SPACE)
    task = tasks.build({"name": "refer", "masks": True})
    box = spoken(task, record, "clavicle")["box"]
    np.testing.assert_allclose(box, record.boxes[1], atol=0.51 / 999)  # text can name it


def perfect_regions(record, names):
    """Regions of a system that is always right: one query an object, and one that finds nothing."""
    found = objects.of_record(record)
    scores = np.array([[float(name == own) for name in names] for own in found.classes] + [[0.0] * len(names)])
    masks = np.stack([*found.masks, np.zeros((SIZE, SIZE), bool)]).astype(np.float32)
    image = np.array([record.labels.get(name) == POSITIVE for name in names], float)
    return Regions(np.vstack([found.boxes, [[0, 0, 1, 1]]]), scores, masks, image)


@pytest.mark.parametrize("name", [*TASKS, "findings", "classify"])
def test_right_regions_score_full_marks(name):
    extra = {
        "findings": tasks.build("findings"),
        "classify": tasks.build({"name": "classify", "classes": ["wet", "dry"]}),
    }
    task = (TASKS | extra)[name]
    test = samples(task, RECORDS)
    found = [perfect_regions(RECORDS[i], NAMES) for i in test.records]
    said = [task.from_regions(x, list(NAMES), unit) for x, unit in zip(found, test.units, strict=True)]
    values = {k: x for metric in task.metrics(said, test, Reference(test)) for k, x in metric.point().items()}
    full = [k for k in task.headline if k != "hd95"]
    assert {k: values[k] for k in full} == pytest.approx(dict.fromkeys(full, 1.0))


def test_a_class_stands_for_its_kinds():
    space = TokenSpace.create(["cell", "left lung", "lung by hand", "right lung"], text.train(["lung"], size=300))
    task = tasks.build({"name": "segment", "classes": ["lung"]})
    names = asked_names(task, space, ["lung"])
    assert names == ["lung", "left lung", "right lung"]
    assert asked_names(tasks.build({"name": "detect", "classes": ["lung"]}), space, [None]) == ["lung"]
    masks = np.zeros((3, 4, 4), np.float32)
    for i, column in enumerate((0, 2, 3)):
        masks[i, :, column] = 1
    found = Regions(np.zeros((3, 4)), np.array([[0.1, 0.8, 0.1], [0, 0.1, 0.6], [0.1, 0.1, 0.1]]), masks, np.zeros(3))
    np.testing.assert_array_equal(runs.decode(task.from_regions(found, names, "lung"))[0], [True, False, True, False])


def test_a_task_that_is_only_written_says_so():
    with pytest.raises(UserError, match="task report cannot be answered from regions"):
        tasks.build("report").from_regions(perfect_regions(RECORDS[0], NAMES), list(NAMES), None)


def test_unlabelled_images_teach_no_token():
    task = tasks.build("unlabelled")
    sequence = task.sequence(RECORDS[0], None, SPACE, np.random.default_rng(0))
    assert sequence.weight == [0.0] and len(sequence.response) == 1 and not task.labelled


@pytest.mark.parametrize("name", TASKS)
def test_augmentation_moves_what_a_task_says(name):
    task, record = TASKS[name], dataclasses.replace(RECORDS[1], labels={"wet": POSITIVE})
    spec = input.BatchSpec(
        image_size=SIZE, views=1, channels=1, text_length=1, prompt_length=16, response_length=LENGTH
    )

    def response(flip):
        rows = input.train_batches([input.Entry([record], (task,), None, "a")], SPACE, spec, batch_size=1, seed=3,
                                   augment=Augment(flip=flip), threads=0)(0)  # fmt: skip
        return rows["target"][0]

    straight, mirrored = (places(task, response(flip)) for flip in (0.0, 1.0))
    (ymin, xmin, ymax, xmax), found = np.array(straight).T, np.array(mirrored).T
    np.testing.assert_allclose(found, [ymin, 1 - xmax, ymax, 1 - xmin], atol=2 / SIZE)


def places(task, response):
    """The boxes of real objects, or the boxes around the outlines, that a response names, in order."""
    if task.name == "segment":
        outlines = [np.reshape(part, (-1, 2)) for part in task.read(response, SPACE)["polygons"]]
        return sorted(([*part.min(0), *part.max(0)] for part in outlines), key=lambda box: box[2] - box[0])
    said = read(task, response)
    return [said["box"]] if task.name == "refer" else sorted(said["boxes"], key=lambda box: (box[2], box[0]))
