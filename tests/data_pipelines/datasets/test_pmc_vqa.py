"""PMC-VQA, both versions."""

import pytest
from bad_input_text import CSV, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.pmc_vqa import PmcVqa
from unimedvlp.records import Question

CHOICES = ("A:Diffuse uptake", " B:None ", "C: Nodule, café", "D:Cannot tell")


def row(figure, letter="C", answer="Nodule, café", **changes):
    choices = {f"Choice {x}": choice for x, choice in zip("ABCD", CHOICES, strict=True)}
    return (
        {"Figure_path": figure, "Question": " What is it? ", "Answer": f" {answer}"}
        | choices
        | {"Answer_label": letter}
        | changes
    )


def write(source):
    for k, name in enumerate(("train", "test", "test_clean")):
        figures = [f"PMC{name}_F{i}.jpg" for i in range(12 if name == "train" else 2)]
        save(source / f"{name}.csv", CSV.dump([row(figure) for figure in figures] + [row(figures[0], "B", "none")]))
        for i, figure in enumerate(figures):
            save(source / "images" / figure, jpeg(100 * k + i))


def version_2(source):
    for i, name in enumerate(("train_2", "test_2")):
        table = []
        for k in range(3):
            old = row(f"PMC{name}_F1_{k}.jpg")
            del old["Answer_label"]
            table.append({"index": k, "Caption": f"A café. {k}"} | old | {"Answer": "D", "split": name})
            save(source / "figures" / old["Figure_path"], jpeg(10 * i + k))
        save(source / f"{name}.csv", CSV.dump(table))


FILE = File(CSV, "Answer_label", swap=("Figure_path", "Question"), path="Figure_path")
LAYOUT = Layout(PmcVqa(), "official", write, {"train.csv": FILE, "test.csv": FILE}, "images/PMCtest_F0.jpg")
test_bad_input = bad_input(LAYOUT)


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(PmcVqa(), tmp_path / "source", tmp_path / "out", "official")
    assert len(splits["test"]) == 2 and len(splits["train"]) + len(splits.get("validation", [])) == 12
    assert splits["test"][0].qa == (
        Question("What is it?", "Nodule, café", "open"),
        Question("What is it?", "None", "open"),
    )
    clean = everything(PmcVqa(), tmp_path / "source", tmp_path / "out", "clean")
    assert clean["test"][0].study_id == "PMCtest_clean_F0.jpg/test"


def test_choices_may_be_part_of_the_question(tmp_path):
    write(tmp_path / "source")
    record = everything(PmcVqa(choices=1), tmp_path / "source", tmp_path / "out", "official")["test"][0]
    asked = "What is it? (A) Diffuse uptake (B) None (C) Nodule, café (D) Cannot tell"
    assert record.qa[0] == Question(asked, "Nodule, café", "closed")


def test_version_2_has_letters_and_captions(tmp_path):
    version_2(tmp_path / "source")
    record = everything(PmcVqa(), tmp_path / "source", tmp_path / "out", "version-2")["test"][1]
    assert record.caption == "A café. 1" and record.qa == (Question("What is it?", "Cannot tell", "open"),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Answer_label": "E"}, "the answer's letter is not A, B, C or D"),
        ({"Answer_label": "A"}, "Answer is not the choice that Answer_label names"),
        ({"Choice C": ""}, "Answer is not the choice that Answer_label names"),
        ({"Question": ""}, "question or answer is empty"),
    ],
)
def test_rows_that_contradict_themselves(tmp_path, changes, reason):
    write(tmp_path / "source")
    save(tmp_path / "source" / "test.csv", CSV.dump([row("PMCtest_F0.jpg"), row("PMCtest_F1.jpg", **changes)]))
    summary = prepare(PmcVqa(), tmp_path / "source", tmp_path / "out", "official")
    assert summary.set_aside == {reason: 1} and summary.splits["test"]["questions"] == 1
