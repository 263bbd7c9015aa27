"""Annotations in a batch: fixed slots, what moves with the image, and what counts as labelled."""

import dataclasses

import numpy as np
import pytest

from data_pipelines import images, input
from data_pipelines.slots import annotations, shrink
from data_pipelines.transforms import Augment
from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import text
from unimedvlp.tokens.sequences import Sequence
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import BOS, EOS, Vocabulary

SPEC = input.BatchSpec(
    image_size=32, views=1, channels=1, text_length=1, prompt_length=6, response_length=8, objects=3, mask_size=16,
    labels=("mass", "edema"),
)  # fmt: skip
VOCABULARY = Vocabulary(("edema", "lung", "mass"), 20)


def drawn(*boxes, size=64):
    """A white rectangle an object on black, with its box and mask."""
    image, masks = np.zeros((size, size), np.uint8), []
    for top, left, bottom, right in boxes:
        one = np.zeros((size, size), np.uint8)
        one[top:bottom, left:right] = 255
        image |= one
        masks.append(images.encode_png(one))
    fractions = np.array(boxes, np.float32).reshape(-1, 4) / size
    names = ("lung",) * len(boxes)
    return Record(
        "s", images=(images.encode_png(image),), views=("frontal",), modality="xray", labels={"mass": POSITIVE},
        boxes=fractions, box_classes=names, masks=tuple(masks), mask_classes=names,
    )  # fmt: skip


def batch_of(record, task="findings", spec=SPEC, **options):
    space = TokenSpace.create(VOCABULARY.classes, text.train(["a text"], size=260))
    entry = input.Entry([record], (tasks.build(task) if isinstance(task, str) else task,), None, "a")
    batches = input.train_batches([entry], space, spec, batch_size=8, threads=0, **options)
    return batches(0), batches.tally


def test_slots_have_the_shapes_of_the_contract_and_hold_the_objects():
    batch, tally = batch_of(drawn((0, 0, 32, 32), (16, 32, 64, 64)))
    kinds = {k: (batch[k].dtype.name, batch[k].shape) for k in batch if k not in ("image", "view_mask")}
    assert kinds["boxes"] == ("float32", (8, 3, 4)) and kinds["classes"] == ("int32", (8, 3))
    assert kinds["masks"] == ("uint8", (8, 3, 16, 16)) and kinds["object_mask"] == ("bool", (8, 3))
    assert kinds["labels"] == ("float32", (8, 2)) and kinds["labelled"] == kinds["annotated"] == ("bool", (8,))
    np.testing.assert_array_equal(batch["boxes"][0], [[0, 0, 0.5, 0.5], [0.25, 0.5, 1, 1], [0, 0, 0, 0]])
    assert batch["object_mask"][0].tolist() == batch["has_mask"][0].tolist() == [True, True, False]
    assert batch["classes"][0].tolist() == [1, 1, 0]
    assert batch["masks"][0, 1].sum() == 12 * 8 and batch["masks"][0, 1, 4:, 8:].all()
    np.testing.assert_array_equal(batch["labels"][0], [1, np.nan])
    assert not tally.counts


def test_augmentation_moves_boxes_and_masks_with_the_image():
    augment = Augment(crop=0.6, rotate=20, shift=0.1, flip=0.5)
    batch, _ = batch_of(drawn((12, 20, 40, 44)), spec=dataclasses.replace(SPEC, mask_size=32), augment=augment)
    for image, mask, box in zip(batch["image"][:, 0, :, :, 0], batch["masks"][:, 0], batch["boxes"][:, 0], strict=True):
        bright = image > 127
        assert (bright & (mask > 0)).sum() / (bright | (mask > 0)).sum() > 0.85
        rows, columns = (np.flatnonzero(bright.any(axis)) for axis in (1, 0))
        tight = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / 32
        np.testing.assert_allclose(box, tight, atol=2.5 / 32)
    assert len(np.unique(batch["boxes"][:, 0].round(3), axis=0)) > 4


def test_objects_beyond_the_slots_are_counted():
    batch, tally = batch_of(drawn(*((0, 8 * i, 60, 8 * i + 8) for i in range(5))))
    assert batch["object_mask"].all()
    assert tally.counts == {"object beyond the 3 slots of an image": 2 * 8}


def test_what_is_unlabelled_carries_no_annotation():
    @dataclasses.dataclass(frozen=True)
    class Look(Task):
        name, needs, shows, labelled = "reconstruct", ("images",), ("images",), False

        def sequence(self, record, unit, space, rng=None):
            return Sequence([], [BOS], [EOS], weight=[0.0])

    batch, _ = batch_of(drawn((0, 0, 32, 32)), Look())
    assert not any(batch[name].any() for name in ("object_mask", "annotated", "labelled", "boxes", "masks"))
    assert np.isnan(batch["labels"]).all() and not batch["response_weight"].any()


@pytest.mark.parametrize(
    ("record", "labelled", "annotated"),
    [
        (drawn((0, 0, 4, 4)), True, True),
        (dataclasses.replace(drawn(), labels={"mass": NEGATIVE}), True, False),
        (dataclasses.replace(drawn(), labels={"mass": UNCERTAIN, "other": POSITIVE}), False, False),
        (Record("s"), False, False),
    ],
)
def test_labelled_means_that_anything_asked_for_is_known(record, labelled, annotated):
    arrays, _ = annotations(record, VOCABULARY, 3, 8, ("mass", "edema"))
    assert (arrays["labelled"], arrays["annotated"]) == (labelled, annotated)


def test_a_class_that_the_registry_does_not_have_is_named():
    with pytest.raises(UserError, match="unknown class 'lungs'; nearest: lung"):
        annotations(dataclasses.replace(drawn((0, 0, 4, 4)), box_classes=("lungs",)), VOCABULARY, 3, 8, ())


def test_masks_need_slots_and_evaluation_carries_none():
    with pytest.raises(UserError, match="mask_size needs objects"):
        dataclasses.replace(SPEC, objects=0)
    assert not SPEC.plain().annotated


def test_shrinking_keeps_pixels_that_are_half_covered():
    mask = np.zeros((8, 8), bool)
    mask[:2, :3] = True
    assert shrink(mask, 4).tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
