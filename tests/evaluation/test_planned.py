"""Planned reports: thresholds from validation, and the plan put before the text."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation import planned
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.records import NEGATIVE, POSITIVE, Record
from unimedvlp.tokens import text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

SPACE = TokenSpace.create(("cardiomegaly", "edema", "fracture"), text.train(["the heart is enlarged"], size=80))
HEART, WET, BROKEN = (SPACE.vocabulary.class_id(name) for name in ("cardiomegaly", "edema", "fracture"))


@dataclasses.dataclass(frozen=True)
class Echo:
    """Answers with its prompt; the logit of every class is the image's first pixel."""

    def class_logits(self, params, batch):
        return jnp.tile(batch["image"][:, 0, 0, :1].astype(jnp.float32), (1, SPACE.vocabulary.size))

    def generate(self, params, batch, rng, method, length, allowed=None):
        return jnp.where(batch["prompt_mask"], batch["prompt"], v.PAD)


def batch(pixels, index=None):
    size = len(pixels)
    return {
        "image": np.array(pixels, np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 1), np.uint8),
        "prompt": np.tile(np.array([v.BOS, 22, 65], np.int32), (size, 1)),
        "prompt_mask": np.ones((size, 3), bool),
        "index": np.arange(size) if index is None else np.array(index),
        "_mask": np.ones(size, bool),
    }


def test_the_plan_stands_between_prompt_and_text():
    system = planned.Planned(Echo(), {HEART: 10.0, WET: 50.0})
    ids = jax.jit(lambda b: system.generate({}, b, jax.random.key(0), None, 9))(batch([60, 20, 5]))
    read = [[int(i) for i in row if i != v.PAD][3:] for row in ids]
    assert read == [[HEART, WET, v.SEP], [HEART, v.SEP], [v.SEP]]


def test_thresholds_are_those_of_best_f1_and_rare_findings_have_none(tmp_path):
    pixels = np.random.default_rng(0).permutation(40)
    value = {True: POSITIVE, False: NEGATIVE}
    truths = [
        {
            "labels": {
                "cardiomegaly": value[bool(p >= 30)],
                "edema": value[bool(p >= 38)],
                "fracture": value[bool(p > 5)],
            }
        }
        for p in pixels
    ]
    order = np.arange(40)[::-1]
    evaluator = SimpleNamespace(
        system=Echo(),
        task=tasks.build({"name": "report", "plan": ["cardiomegaly", "edema"]}),
        space=SPACE,
        mesh=make_mesh({"data": 1}),
        samples=SimpleNamespace(truths=truths),
        batches=lambda: (batch(pixels[part], part) for part in np.split(order, 4)),
    )
    found = planned.choose(evaluator, {})
    assert found == {"cardiomegaly": 30.0}, "two cases of edema are too few; a fracture is not planned with"
    planned.save(found, tmp_path)
    assert planned.apply(Echo(), SPACE, tmp_path) == planned.Planned(Echo(), {HEART: 30.0})
    assert planned.apply(Echo(), SPACE, tmp_path / "none") == Echo()


def test_a_system_that_names_no_classes_is_refused():
    with pytest.raises(UserError, match="SimpleNamespace names no classes; give the report task no plan"):
        planned.choose(SimpleNamespace(system=SimpleNamespace()), {})


def test_the_report_names_positive_findings_first_and_reads_back_without_them():
    record = Record("s", images=(b"\x89PNG\r\n\x1a\n",), views=("frontal",), modality="xray", body_part="chest",
                    findings="the heart is enlarged", labels={"edema": POSITIVE, "cardiomegaly": POSITIVE, "fracture": NEGATIVE})  # fmt: skip
    task = tasks.build({"name": "report", "plan": ["cardiomegaly", "edema"]})
    said = task.sequence(record, None, SPACE)
    assert said.prompt == tasks.build("report").sequence(record, None, SPACE).prompt, "the labels are not given away"
    assert said.response[:3] == [HEART, WET, v.SEP]
    assert task.read(said.response, SPACE) == task.read(said.response[3:], SPACE) == "the heart is enlarged"
    grammar = task.grammar(SPACE, 30)
    for ids, fine in ((said.response, True), (said.response[3:], True), ([HEART, *said.response[3:]], False)):
        state, allowed = grammar.start(1), True
        for token in ids:
            allowed = allowed and bool(grammar(state)[0, token])
            state = grammar.next(state, jnp.array([token]))
        assert allowed == fine, ids
