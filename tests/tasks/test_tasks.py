"""Tasks: their sequences invert, perfect predictions score full marks, trivial baselines have the right shape."""

import dataclasses

import numpy as np
import pytest

from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation.comparison import MODEL, SHUFFLED, compare
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Question, Record
from unimedvlp.tasks.base import Reference, Samples
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace

REPORTS = (
    "The heart is enlarged.",
    "Small left pleural effusion.",
    "No acute disease.",
    "There is a nodule. No edema.",
)


def study(i: int) -> Record:
    large, wet = i % 2 == 0, i % 3 == 0
    return Record(
        f"s{i}",
        images=(b"\x89PNG\r\n\x1a\n",),
        views=("frontal",),
        modality="xray" if i % 4 else "ct",
        body_part="chest",
        findings=f"{REPORTS[i % 4]} Study {i % 5}.",
        impression=REPORTS[i % 4],
        labels={
            "cardiomegaly": POSITIVE if large else NEGATIVE,
            "edema": UNCERTAIN if i == 1 else POSITIVE if wet else NEGATIVE,
        },
        qa=(
            Question("Is the heart large?", "Yes" if large else "No", "closed", "presence"),
            Question("Which side?", "left" if wet else "right", "open", "position"),
        ),
    )


RECORDS = [study(i) for i in range(24)]
TASKS = {
    "report": tasks.build({"name": "report", "clean": "r2gen"}),
    "summarise": tasks.build("summarise"),
    "answer": tasks.build("answer"),
    "findings": tasks.build("findings"),
    "classify": tasks.build({"name": "classify", "field": "modality", "classes": ["xray", "ct"]}),
}
SPACE = TokenSpace.create(
    ("cardiomegaly", "edema", "xray", "ct"),
    text.train([t for task in TASKS.values() for record in RECORDS for t in task.texts(record)], size=400),
)


def samples(task, records) -> Samples:
    found = [(i, unit) for i, record in enumerate(records) if task.serves(record) for unit in task.units(record)]
    places = np.array([i for i, _ in found])
    thumbnails = np.random.default_rng(0).random((len(records), 9)).astype(np.float32)
    return Samples([task.truth(records[i], unit) for i, unit in found], places, lambda: thumbnails[places])


def perfect(task, chosen: Samples):
    """What a system that is always right and certain would say."""
    key = {"report": "report", "summarise": "impression", "answer": "answer"}.get(task.name)
    if key:
        return chosen.column(key)
    key = "value" if task.name == "findings" else "class"
    return [{name: float(name == truth[key]) for name in task.choices(SPACE)} for truth in chosen.truths]


@pytest.mark.parametrize("name", TASKS)
def test_sequences_invert(name):
    task = TASKS[name]
    for record in RECORDS[:6]:
        for unit in task.units(record):
            sequence = task.sequence(record, unit, SPACE)
            assert sequence.prompt[1] == SPACE.vocabulary.task(name)
            choices = task.choices(SPACE)
            if choices:
                said = {token: name for name, token in choices.items()}[sequence.response[0]]
                assert said in task.truth(record, unit).values()
            else:
                truth = Samples([task.truth(record, unit)], np.zeros(1, int), lambda: None)
                assert task.read(sequence.response, SPACE).lower() == perfect(task, truth)[0].lower()


@pytest.mark.parametrize("name", TASKS)
def test_perfect_predictions_get_full_marks_and_beat_the_baselines(name):
    task = TASKS[name]
    train, test = samples(task, RECORDS[:16]), samples(task, RECORDS[16:])
    reference = Reference(train, samples(task, RECORDS[12:16]))
    values = {k: v for metric in task.metrics(perfect(task, test), test, reference) for k, v in metric.point().items()}
    full = {"bleu_1": 1, "rouge_l": 1, "accuracy_all": 1, "f1_open": 1, "auroc_macro": 1, "accuracy": 1, "f1_macro": 1}
    held = {k: values[k] for k in task.headline if k in full and not (name == "report" and k == "f1_macro")}
    assert held == pytest.approx({k: full[k] for k in held})
    assert set(task.headline) <= set(values)
    for title, predictions in task.baselines(reference, test).items():
        assert len(predictions) == len(test.truths), title
        task.metrics(predictions, test, reference)
    shown = task.show(perfect(task, test)[0], test.truths[0])
    assert {"prediction", "truth"} <= set(shown)


def test_findings_that_are_uncertain_or_unmentioned_are_not_scored():
    task = TASKS["findings"]
    chosen = samples(task, RECORDS[:4])
    wrong = [
        dict(p, **({POSITIVE: 0.0, NEGATIVE: 1.0} if t["value"] == UNCERTAIN else {}))
        for p, t in zip(perfect(task, chosen), chosen.truths, strict=True)
    ]
    (metric,) = task.metrics(wrong, chosen, Reference(chosen))
    assert metric.point()["accuracy"] == 1
    narrowed = dataclasses.replace(task, classes=("edema",))
    assert narrowed.units(RECORDS[0]) == ["edema"]


def test_thresholds_come_from_validation():
    task = TASKS["findings"]
    chosen = samples(task, RECORDS)
    low = [
        {POSITIVE: 0.2 * p[POSITIVE], NEGATIVE: 1 - 0.2 * p[POSITIVE], UNCERTAIN: 0.0} for p in perfect(task, chosen)
    ]
    (untuned,) = task.metrics(low, chosen, Reference(chosen))
    (tuned,) = task.metrics(low, chosen, Reference(chosen, chosen, low))
    assert untuned.point()["f1_macro"] == 0 and tuned.point()["f1_macro"] == 1


def test_reports_are_compared_by_the_published_protocol():
    task = TASKS["report"]
    train = Samples([{"report": "the heart is normal"}] * 3, np.arange(3), lambda: None)
    test = Samples([{"report": "The HEART is, normal. Rareword."}], np.zeros(1, int), lambda: None)
    (bleu, *_) = task.metrics(["the heart is normal . <unk> ."], test, Reference(train))
    assert bleu.point()["bleu_4"] < 1  # an unknown word that is said is not the placeholder of the reference
    long = dataclasses.replace(task, max_words=3)
    assert long.text(RECORDS[0]) == "the heart is"


def test_classify_needs_exactly_one_class():
    task = tasks.build({"name": "classify", "classes": ["cardiomegaly", "edema"]})
    assert [task.units(record) for record in RECORDS[:3]] == [[], [], ["cardiomegaly"]]


def test_a_comparison_says_where_the_model_stands():
    task = TASKS["answer"]
    train, test = samples(task, RECORDS[:12]), samples(task, RECORDS[12:])
    right = perfect(task, test)
    constant = ["nothing"] * len(right)
    comparison = compare(task, test, Reference(train), (right, None), (constant, None))
    scores, gains = comparison.scores(), comparison.gains()
    assert scores[MODEL]["accuracy_all"].value == 1 and scores[SHUFFLED]["accuracy_all"].value == 0
    assert gains[SHUFFLED]["accuracy_all"].value == 1
    assert "above every trivial baseline" in comparison.verdict()[0]
    assert "above shuffled images" in comparison.verdict()[0]
    worst = compare(task, test, Reference(train), (constant, None), None).verdict()[0]
    assert ": below " in worst and "shuffled" not in worst


def test_unknown_names_and_options():
    with pytest.raises(UserError, match="unknown task 'reprt'; did you mean 'report'"):
        tasks.build("reprt")
    with pytest.raises(UserError, match=r"'task report\.claen'; did you mean 'clean'"):
        tasks.build({"name": "report", "claen": "r2gen"})
