"""RadQA's native files, in the form of SQuAD 2.0."""

import json

import pytest
from bad_input_text import File, Form, Layout, bad_input, everything, save

from data_pipelines.datasets.radqa import FILES, IMPOSSIBLE, RadQa
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError
from unimedvlp.records import Question, Record

CONTEXT = "FINDINGS: The café sign. There is a small left pleural effusion.\nNo pneumothorax."


def document(questions):
    paragraph = {"document_id": "r1_I", "context": CONTEXT, "qas": questions}
    return json.dumps({"version": "1.0", "data": [{"title": "r1", "paragraphs": [paragraph]}]}, ensure_ascii=False)


SQUAD = Form(lambda text: json.loads(text)["data"][0]["paragraphs"][0]["qas"], document)


def question(name, text, answer="", **changes):
    answers = [{"answer_id": "1", "text": answer, "answer_start": CONTEXT.index(answer)}] if answer else []
    return {"id": name, "question": text, "answers": answers, "is_impossible": not answer} | changes


def write(source):
    for split, name in FILES.items():
        rows = [
            question(f"{split}-1", "Is there an effusion?", "small left pleural effusion"),
            question(f"{split}-2", "Is there a fracture?"),
            question(f"{split}-3", "And a pneumothorax?", "No pneumothorax."),
        ]
        save(source / name, document(rows))


FILE = File(SQUAD, "question", "id", ("question", "answers"))
test_bad_input = bad_input(Layout(RadQa(), "official", write, {name: FILE for name in FILES.values()}))


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(RadQa(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: len(records) for split, records in splits.items()} == {"train": 1, "validation": 1, "test": 1}
    record = splits["validation"][0]
    assert record.study_id == "r1-0-0/validation" and record.text == CONTEXT and record.modality == "text"
    assert record.qa == (
        Question("Is there an effusion?", "small left pleural effusion", "open"),
        Question("Is there a fracture?", IMPOSSIBLE, "open", "impossible"),
        Question("And a pneumothorax?", "No pneumothorax.", "open"),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": [{"text": "effusion", "answer_start": 0}]},
        {"answers": [{"text": "effusion", "answer_start": None}]},
        {"answers": [{"text": "", "answer_start": 0}]},
    ],
)
def test_answers_that_are_not_in_the_report(tmp_path, changes):
    write(tmp_path)
    save(
        tmp_path / "test.json", document([question("a", "Q?", "The café sign."), question("b", "Q?", "left") | changes])
    )
    items = list(RadQa().records(tmp_path, "official"))
    assert [item for item in items if isinstance(item, SetAside)] == [
        SetAside("b", "answer is not where answer_start says", "test.json document 0 paragraph 0 b")
    ]
    assert sum(len(item.qa) for item in items if isinstance(item, Record)) == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"test.json has no data"),
        ('{"data": {}}', r"test.json: data: expected a list of objects, found dict"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', r"test.json: document 0: item 0 has no qas"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": 1}]}]}]}', r"paragraph 0: item 0 has no question"),
    ],
)
def test_other_forms_are_refused(tmp_path, content, message):
    write(tmp_path)
    save(tmp_path / "test.json", content)
    with pytest.raises(UserError, match=message):
        list(RadQa().records(tmp_path, "official"))
