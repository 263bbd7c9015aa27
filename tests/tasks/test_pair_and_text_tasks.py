"""Tasks with a text before the encoder: their sequences, scores, baselines, and what they refuse."""

import numpy as np
import pytest

from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation import retrieval
from unimedvlp.records import POSITIVE, Question, Record
from unimedvlp.tasks.base import Reference, Samples
from unimedvlp.tokens import text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

TEXTS = ("The heart is enlarged.", "A small effusion.", "No acute disease.")
RELATIONS = ("entailment", "neutral", "contradiction")


def study(i: int) -> Record:
    return Record(
        f"s{i}",
        images=(b"\x89PNG\r\n\x1a\n",),
        views=("frontal",),
        modality="xray",
        findings=f"{TEXTS[i % 3]} Study {i}.",
        impression=TEXTS[i % 3],
        caption=TEXTS[i % 3],
        labels={("heart", "effusion", "none")[i % 3]: POSITIVE},
        qa=(Question("Is it large?", "Yes", "closed"),),
        premise=TEXTS[i % 3],
        hypothesis=TEXTS[(i + i // 3) % 3],
        relation=RELATIONS[i % 3],
        text=TEXTS[i % 3],
        text_label=("heart", "effusion", "none")[i % 3],
    )


RECORDS = [study(i) for i in range(18)]
NAMES = ("heart", "effusion", "none")
TASKS = {
    "text_classify": tasks.build({"name": "text_classify", "classes": NAMES}),
    "any_text": tasks.build("text_classify"),
    "infer": tasks.build("infer"),
    "image_text_classify": tasks.build({"name": "image_text_classify", "classes": NAMES}),
    "by_field": tasks.build({"name": "image_text_classify", "field": "modality", "classes": ("xray",)}),
    "multimodal_summarise": tasks.build("multimodal_summarise"),
    "retrieve": tasks.build({"name": "retrieve", "sections": ("findings", "impression")}),
    "answer": tasks.build({"name": "answer", "encoded": True}),
}
SPACE = TokenSpace.create(
    (*NAMES, "xray", *RELATIONS),
    text.train([t for task in TASKS.values() for record in RECORDS for t in task.texts(record)], size=330),
)
CHOOSING = ("text_classify", "any_text", "infer", "image_text_classify", "by_field")


def samples(task, records) -> Samples:
    found = [(i, unit) for i, record in enumerate(records) for unit in task.units(record)]
    thumbnails = np.random.default_rng(0).random((len(records), 9)).astype(np.float32)
    places = np.array([i for i, _ in found])
    return Samples([task.truth(records[i], unit) for i, unit in found], places, lambda: thumbnails[places])


@pytest.mark.parametrize("name", TASKS)
def test_the_text_is_read_by_the_encoder(name):
    task = TASKS[name]
    sequence = task.sequence(RECORDS[1], task.units(RECORDS[1])[0], SPACE)
    assert "text" in task.shows and task.serves(RECORDS[1])
    assert sequence.prompt[1] == SPACE.vocabulary.task(task.name) and len(sequence.prompt) == 3
    heard = SPACE.decode_text(sequence.context)
    assert v.SEP in sequence.context or heard in (*task.texts(RECORDS[1]), "is it large?")


def test_inference_keeps_both_texts_apart():
    context = TASKS["infer"].sequence(RECORDS[4], "neutral", SPACE).context
    cut = context.index(v.SEP)
    assert SPACE.decode_text(context[:cut]) == RECORDS[4].premise
    assert SPACE.decode_text(context[cut + 1 :]) == RECORDS[4].hypothesis


@pytest.mark.parametrize("name", CHOOSING)
def test_perfect_choices_get_full_marks_and_baselines_are_scored(name):
    task = TASKS[name]
    train, test = samples(task, RECORDS[:12]), samples(task, RECORDS[12:])
    perfect = [{c: float(c == truth["class"]) for c in task.choices(SPACE)} for truth in test.truths]
    (metric,) = task.metrics(perfect, test, Reference(train))
    assert metric.point()["accuracy"] == metric.point()["f1_macro"] == 1
    if name != "by_field":  # a single class has no regression
        for title, predictions in task.baselines(Reference(train), test).items():
            (scored,) = task.metrics(predictions, test, Reference(train))
            assert 0 <= scored.point()["accuracy"] <= 1, title
            np.testing.assert_allclose([sum(p.values()) for p in predictions], 1, rtol=1e-5)
    assert {"prediction", "truth", "text"} <= set(task.show(perfect[0], test.truths[0]))


def test_retrieval_scores_ranks_and_its_baselines():
    task = TASKS["retrieve"]
    train, test = samples(task, RECORDS[:12]), samples(task, RECORDS[12:])
    perfect = retrieval.ranked({"": np.eye(6)}, test.column("text"))
    (metric,) = task.metrics(perfect, test, Reference(train))
    assert set(metric.point().values()) == {1.0} and set(task.headline) == set(metric.point())
    for predictions in task.baselines(Reference(train), test).values():
        assert len(predictions) == 6 and min(p["image_to_text"] for p in predictions) >= 1
    assert task.sequence(RECORDS[0], None, SPACE).response == []


def test_what_is_refused():
    lacking = Record("s", images=RECORDS[0].images, views=("frontal",), text="Some text.", text_label="heart")
    assert not TASKS["retrieve"].serves(lacking) and not TASKS["infer"].serves(lacking)
    with pytest.raises(UserError, match="text for the encoder is empty"):
        TASKS["retrieve"].sequence(lacking, None, SPACE)
    other = Record("s9", text="Some text.", text_label="hart")
    with pytest.raises(UserError, match="record 's9' has the label 'hart', which is not among its classes"):
        TASKS["text_classify"].units(other)
    with pytest.raises(UserError, match="unknown class 'hart'; nearest: heart"):
        TASKS["any_text"].sequence(other, "hart", SPACE)
    with pytest.raises(UserError, match="sections: a record has no text 'finding'; known: "):
        tasks.build({"name": "retrieve", "sections": ("finding",)})
