"""The evaluator on a system that sees one bright rectangle: by both decoders, shuffled, and where a decoder is missing."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import input
from data_pipelines.images import encode_png
from data_pipelines.shuffled import ShuffledImages
from launch.assemble import make_samples
from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation.evaluator import Evaluator
from unimedvlp.models.generate import Greedy
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.records import Record
from unimedvlp.systems.base import Regions
from unimedvlp.tasks.base import Reference
from unimedvlp.tokens import text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

SIZE, LENGTH = 32, 16
SPEC = input.BatchSpec(
    image_size=SIZE, views=1, channels=1, text_length=1, prompt_length=16, response_length=LENGTH, objects=2, labels=("lung",)
)  # fmt: skip


def study(i):
    """One bright rectangle, elsewhere in every study."""
    image = np.zeros((SIZE, SIZE), np.uint8)
    top, left = 2 + 5 * (i % 4), 3 + 7 * (i // 4)
    image[top : top + 8, left : left + 6] = 255
    box = np.array([[top, left, top + 8, left + 6]], np.float32) / SIZE
    data = encode_png(image)
    return Record(
        f"s{i}", images=(data,), views=("frontal",), modality="xray", boxes=box, box_classes=("lung",), masks=(data,),
        mask_classes=("lung",),
    )  # fmt: skip


RECORDS = [study(i) for i in range(10)]
SPACE = TokenSpace.create(("lung", "heart"), text.train(["lung", "heart"], size=260))


class Writer:
    """Writes the box of the bright pixels and the first class."""

    grammar = None

    def generate(self, params, batch, rng, method, length, allowed=None):
        self.grammar = allowed
        coordinates = v.COORDINATE_START + jnp.round(self.box(batch) * (v.COORDINATE_BINS - 1)).astype(jnp.int32)
        rest = jnp.tile(jnp.array([v.CLASS_START, v.EOS] + [v.PAD] * (length - 6)), (coordinates.shape[0], 1))
        return jnp.concatenate([coordinates, rest], axis=1)

    def response_logits(self, params, batch, response):
        return 20.0 * jax.nn.one_hot(response, SPACE.vocabulary.size)

    def box(self, batch):
        """The box `[B, 4]` of the bright pixels."""
        rows, columns = (self.bright(batch).any(axis) for axis in (2, 1))
        first = [jnp.argmax(x, axis=1) for x in (rows, columns)]
        last = [SIZE - jnp.argmax(x[:, ::-1], axis=1) for x in (rows, columns)]
        return jnp.stack([*first, *last], axis=1) / SIZE

    def bright(self, batch):
        return batch["image"][:, 0, :, :, 0] > 127


class Both(Writer):
    """Finds it too, and fits the name whose first token is that of "lung"."""

    def regions(self, params, batch, names, names_mask):
        fits = (names[:, 0] == SPACE.encode_text("lung")[0]).astype(jnp.float32)
        scores = jnp.tile(fits, (batch["image"].shape[0], 1))
        return Regions(
            self.box(batch)[:, None], scores[:, None], self.bright(batch)[:, None].astype(jnp.float32), scores
        )


def evaluator(system, task, decoder="composed", source=RECORDS, **options):
    task = tasks.build(task)
    batches = functools.partial(input.eval_batches, source, task, SPACE, SPEC, 4, threads=0, **options)
    samples = make_samples(source, task)
    return Evaluator(
        system, task, SPACE, samples, batches, Reference(samples), make_mesh({"data": 1}), LENGTH, Greedy(), decoder
    )


@pytest.mark.parametrize(
    ("task", "decoder", "leading"),
    [
        ("detect", "composed", "ap50"),
        ("detect", "decomposed", "ap50"),
        ("segment", "decomposed", "dice"),
        ("refer", "decomposed", "acc50"),
        ("detect_segment", "decomposed", "mask_ap50"),
    ],
)
def test_both_decoders_are_scored_alike(task, decoder, leading):
    values = dict(evaluator(Both(), task, decoder).run({}))
    assert values[leading].value == pytest.approx(1) and values[leading].count == len(RECORDS)


def test_what_is_found_in_an_image_answers_all_its_questions():
    labelled = [dataclasses.replace(one, labels={"lung": "positive", "heart": "negative"}) for one in RECORDS]
    once = evaluator(Both(), "findings", "decomposed", labelled, once=True)
    (said, samples), (expected, every) = (
        once.predict({}),
        evaluator(Both(), "findings", "decomposed", labelled).predict({}),
    )
    assert said == expected and samples.truths == every.truths and len(said) == 2 * len(RECORDS)
    assert sum(int(batch["_mask"].sum()) for batch in once.batches()) == len(RECORDS)
    few = evaluator(Both(), "findings", "decomposed", labelled, once=True, limit=2)
    assert len(few.predict({})[0]) == 4


def test_scores_are_how_sure_the_system_is_and_responses_follow_the_grammar():
    system = Both()
    (first, *_), samples = evaluator(system, "detect").predict({})
    assert first["classes"] == ["lung"] and 0.9 < first["scores"][0] < 1
    assert system.grammar is not None and samples.units[0] is None


def test_shuffled_images_score_less():
    shuffled = evaluator(Both(), "detect", "decomposed", ShuffledImages(RECORDS)).headline({})
    assert shuffled["ap50"] < 0.5


def test_a_missing_decoder_is_named():
    with pytest.raises(UserError, match="Writer has no decomposed decoder"):
        evaluator(Writer(), "detect", "decomposed")
    with pytest.raises(UserError, match="unknown decoder 'both'; known: composed, decomposed"):
        evaluator(Both(), "detect", "both")
