"""Segmentation by codes, with an exact code in place of a trained one: a number for each pattern of 3 x 3 pixels."""

import dataclasses

import numpy as np
import pytest

from data_pipelines import input
from data_pipelines.images import encode_png
from data_pipelines.transforms import Augment
from unimedvlp import runs, tasks
from unimedvlp.records import Record
from unimedvlp.tasks import segment_codes
from unimedvlp.tasks.base import Reference, Samples
from unimedvlp.tokens import grammar, text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

SPACE = TokenSpace.create(("disc", "vessel"), text.train(["a"], size=257))
TASK = tasks.build({"name": "segment_codes", "model": "exact"})


class Exact:
    """Patterns of 3 x 3 pixels, each a number in 0..511."""

    grid = (4, 4)
    _bits = 2 ** np.arange(9)

    def encode(self, pictures):
        """Codes `[N, 16]` of masks `[N, 12, 12, 1]`."""
        tiles = (pictures[..., 0] > 0).reshape(-1, 4, 3, 4, 3).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 9)
        return tiles @ self._bits

    def decode(self, codes):
        """Probabilities `[N, 12, 12, 1]` of codes `[N, 16]`."""
        tiles = (codes[..., None] & self._bits > 0).reshape(-1, 4, 4, 3, 3).transpose(0, 1, 3, 2, 4)
        return tiles.reshape(-1, 12, 12, 1).astype(np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setattr(segment_codes, "mask_model", lambda workdir: Exact())


def study(seed):
    masks = np.random.default_rng(seed).random((2, 12, 12)) > 0.6
    return Record(
        "s", images=(encode_png(np.zeros((12, 12), np.uint8)),), views=("frontal",), modality="fundus",
        masks=tuple(encode_png(mask * np.uint8(255)) for mask in masks), mask_classes=("disc", "vessel"),
        mask_codes=Exact().encode(masks[..., None].astype(np.uint8)).ravel(),
    )  # fmt: skip


def test_masks_that_no_polygon_could_say_return():
    records = [study(seed) for seed in range(4)]
    found = [(i, unit) for i, record in enumerate(records) for unit in TASK.units(record)]
    truths = [TASK.truth(records[i], unit) for i, unit in found]
    said = [TASK.read(TASK.sequence(records[i], unit, SPACE).response, SPACE) for i, unit in found]
    assert [mask["counts"] for mask in said] == [truth["mask"]["counts"] for truth in truths]
    samples = Samples(truths, np.array([i for i, _ in found]), lambda: None)
    (metric,) = TASK.metrics(said, samples, Reference(samples))
    assert metric.point()["dice"] == 1 and TASK.read([v.NEG, v.EOS], SPACE) is None


def test_the_grammar_asks_for_all_codes_and_nothing_else():
    automaton = TASK.grammar(SPACE, 20)
    expected = grammar.build(SPACE.vocabulary, "segment", length=20, codes=16)
    for name in ("sets", "follow", "kind"):
        np.testing.assert_array_equal(getattr(automaton, name), getattr(expected, name))


def test_codes_are_taught_of_the_image_as_it_was():
    spec = input.BatchSpec(image_size=12, views=1, channels=1, text_length=1, prompt_length=6, response_length=17)
    entry = input.Entry([study(0)], (TASK,), None, "a")
    batch = input.train_batches([entry], SPACE, spec, batch_size=4, augment=Augment(rotate=30), threads=0)(0)
    masks = {
        name: study(0).mask_codes[16 * i : 16 * i + 16] + v.MASK_CODE_START for i, name in enumerate(("disc", "vessel"))
    }
    for prompt, response in zip(batch["prompt"], batch["response"], strict=True):
        np.testing.assert_array_equal(response[:16], masks[SPACE.vocabulary.class_name(prompt[3])])


def test_a_class_of_several_masks_and_a_study_without_codes():
    twice = dataclasses.replace(study(0), mask_classes=("vessel", "vessel"))
    assert TASK.units(twice) == []
    bare = Record("s", images=study(0).images, views=("frontal",), modality="fundus")
    asked = TASK.sequence(bare, "vessel", SPACE)
    assert asked.prompt == TASK.sequence(study(0), "vessel", SPACE).prompt and asked.response == [v.EOS]
    assert runs.decode(TASK.truth(study(0), "disc")["mask"]).shape == (12, 12)
