"""Tasks whose answers are pictures: sequences invert exactly, the grammar lets them through, right codes score full marks."""

import jax.numpy as jnp
import numpy as np
import pytest

from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.records import Record
from unimedvlp.tasks.base import Reference, Samples
from unimedvlp.tokens import text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

IMAGE = b"\x89PNG\r\n\x1a\n"
CODES = np.random.default_rng(0).integers(0, v.IMAGE_CODES, (6, 16))
RECORDS = [
    Record(
        f"s{i}",
        images=(IMAGE,),
        views=("frontal",),
        modality="xray",
        findings=f"Lung of patient {10 + i}.",
        image_codes=codes,
    )
    for i, codes in enumerate(CODES)
]
SPACE = TokenSpace.create((), text.train([record.findings for record in RECORDS], size=300))
TASKS = [tasks.build("reconstruct"), tasks.build("generate_image")]


def samples(task):
    return Samples([task.truth(record, None) for record in RECORDS], np.arange(6), lambda: np.zeros((6, 4)))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_sequences_invert(task):
    for record in RECORDS:
        sequence = task.sequence(record, None, SPACE)
        assert task.read(sequence.response, SPACE) == record.image_codes.tolist()
        assert sequence.prompt == [v.BOS, SPACE.vocabulary.task(task.name), SPACE.vocabulary.modality("xray")]
        assert SPACE.decode_text(sequence.context) == ("" if task.name == "reconstruct" else record.findings)
    assert task.read([v.IMAGE_CODE_START, v.MASK_CODE_START, v.EOS], SPACE) is None
    assert task.read(sequence.response[:-1], SPACE) is None


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_grammar_takes_the_sequence_and_no_text(task):
    response = task.sequence(RECORDS[0], None, SPACE).response
    automaton = task.grammar(SPACE, len(response))
    state = automaton.start(1)
    for token in response:
        allowed = np.asarray(automaton(state))[0]
        assert allowed[token] and not allowed[v.TEXT_START :].any()
        state = automaton.next(state, jnp.array([token]))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_scores(task):
    found = samples(task)
    right = {k: x for metric in task.metrics(CODES.tolist(), found, None) for k, x in metric.point().items()}
    assert right == {"code_accuracy": 1.0, "distinct": 6.0}
    half = CODES.copy()
    half[:, :8] = (half[:, :8] + 1) % v.IMAGE_CODES
    wrong = [None, [1, 2], *half[2:].tolist()]
    scores = {k: x for metric in task.metrics(wrong, found, None) for k, x in metric.point().items()}
    assert scores == {"code_accuracy": pytest.approx(4 * 0.5 / 6), "distinct": 5.0}
    trivial = task.baselines(Reference(found), found)
    assert all(np.shape(said) == (6, 16) for said in trivial.values())
    if task.name == "generate_image":
        assert trivial["nearest findings' picture"] == CODES.tolist()
    shown = task.show(None, found.truths[0])
    assert shown["prediction"] == "" and shown["truth"].split()[:2] == [str(code) for code in CODES[0, :2]]
    assert len(task.drawn(None, found.truths[0])) == 0


def test_which_records_serve():
    reconstruct, generate = TASKS
    bare = Record("s", images=(IMAGE,), views=("frontal",), findings="Clear.")
    assert not reconstruct.serves(bare) and not generate.serves(bare)
    learner = tasks.build({"name": "reconstruct", "pictures": "images"})
    assert learner.serves(bare) and learner.sequence(bare, None, SPACE).response == [v.EOS]
    assert not tasks.build({"name": "reconstruct", "pictures": "masks"}).serves(bare)
    with pytest.raises(UserError, match="pictures is 'mask', use one of"):
        tasks.build({"name": "reconstruct", "pictures": "mask"})
    large = Record("s", images=(IMAGE,), views=("frontal",), findings="Clear.", image_codes=np.array([v.IMAGE_CODES]))
    with pytest.raises(UserError, match=r"codes must be some numbers in 0\.\.1023"):
        reconstruct.sequence(large, None, SPACE)
