"""A user's own texts in a table."""

import json

import pytest
from bad_input_text import CSV, JSON, LINES, File, Layout, bad_input, everything, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.text_csv import TextCsv
from launch.main import main
from unimedvlp.errors import UserError


def write(source):
    for split in ("train", "val", "test"):
        rows = [{"uid": f"{split}{i}", "text": f"Note {i}, café", "label": "sick" if i else "well"} for i in range(3)]
        save(source / f"{split}.csv", CSV.dump(rows))


FILE = File(CSV, "text", "uid", optional=True)
test_bad_input = bad_input(Layout(TextCsv(), "given", write, {"train.csv": FILE, "test.csv": FILE}))


def test_a_file_a_split(tmp_path):
    write(tmp_path / "source")
    splits = everything(TextCsv(), tmp_path / "source", tmp_path / "out", "given")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    record = splits["validation"][1]
    assert (record.study_id, record.text, record.text_label) == ("val1/validation", "Note 1, café", "sick")
    assert record.modality == "text"


def test_a_split_column_and_own_names(tmp_path):
    rows = [
        {"nr": i, "fold": ("Train", "dev", "test", "extra")[i % 4], "who": f"p{i % 4}", "Bericht": "FINDINGS: Clear.\nIMPRESSION: Ok."}
        for i in range(8)
    ]  # fmt: skip
    save(tmp_path / "source" / "all.jsonl", LINES.dump(rows))
    builder = TextCsv(columns="id=nr,split=fold, patient=who,report=Bericht", modality="xray", body_part="chest")
    splits = everything(builder, tmp_path / "source", tmp_path / "out", "given")
    record = splits["test"][0]
    assert (record.study_id, record.patient_id, record.modality, record.body_part) == ("2/test", "p2", "xray", "chest")
    assert (record.findings, record.impression, record.text) == ("Clear.", "Ok.", "")
    summary = prepare(builder, tmp_path / "source", tmp_path / "out", "given")
    assert summary.set_aside == {"the split is not train, val or test": 2}


def test_pairs_of_sentences(tmp_path):
    rows = [
        {"sentence1": f"a{i}", "sentence2": f"b{i}", "gold_label": label} for i, label in enumerate(("neutral", "-"))
    ]
    save(
        tmp_path / "source" / "pairs.tsv",
        "\t".join(rows[0]) + "\n" + "".join("\t".join(r.values()) + "\n" for r in rows),
    )
    summary = prepare(TextCsv(), tmp_path / "source", tmp_path / "out", "by-patient")
    assert summary.set_aside == {"relation is not one of entailment, neutral, contradiction": 1}
    assert sum(counts["fields"]["premise"] for counts in summary.splits.values()) == 1


def test_semicolons_and_equal_ids_in_two_files(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / "source" / f"{split}.csv", f"id;text\n1;{split} a, b\n2;c\n")
    summary = prepare(TextCsv(), tmp_path / "source", tmp_path / "out", "by-patient")
    assert sum(counts["records"] for counts in summary.splits.values()) == 4 and not summary.set_aside


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a.csv": "text\nx\n"}, {}, r"a.csv: nothing says the split; .*--protocol by-patient"),
        ({"a.csv": "text\nx\n", "b.csv": "text\nx\n"}, {}, r"several tables \(a.csv, b.csv\); name one with --file"),
        ({"a.md": "x"}, {}, r"expected a table \(.csv, .tsv, .*found a.md"),
        ({"a.csv": "text\nx\n"}, {"file": "../a.csv"}, r"expected ../a.csv; found a.csv"),
        ({"train.csv": "words\nx\n"}, {"columns": "text=word"}, r"no column 'word'; found columns words"),
        ({"train.csv": "words\nx\n"}, {"columns": "txt=words"}, r"no field 'txt'; known: id, patient, split, text"),
        ({"train.json": '{"a": [], "b": []}'}, {}, r"train.json: expected a list of objects, found dict"),
        ({"train.csv": "words\nx\n"}, {}, r"no record .* 1 x no text \(train.csv row 1\)"),
    ],
)
def test_mistakes_get_one_clear_line(tmp_path, files, options, message):
    for name, text in files.items():
        save(tmp_path / "source" / name, text)
    with pytest.raises(UserError, match=message):
        prepare(TextCsv(**options), tmp_path / "source", tmp_path / "out", "given")


def test_an_unknown_modality():
    with pytest.raises(UserError, match="--modality 'x-ray' is not one of other, xray"):
        TextCsv(modality="x-ray")


def test_from_the_command_line(tmp_path, capsys):
    save(tmp_path / "source" / "all.json", JSON.dump([{"words": f"w {i}", "y": "a"} for i in range(20)]))
    argv = ["prepare", "text_csv", "--source", tmp_path / "source", "--out", tmp_path, "--protocol", "by-patient"]
    assert main([*map(str, argv), "--columns", "text=words,text_label=y"]) == 0
    summary = json.loads((tmp_path / "text_csv/by-patient/1.0.0/summary.json").read_text())
    assert summary["splits"]["train"]["fields"]["text_label"] > 10 and "train" in capsys.readouterr().out


def test_real_tables(real_data, tmp_path):
    """The medical abstracts and the reports of IU X-Ray as if they were a user's own."""
    options = {"file": "medical_tc_test.csv", "columns": "text=medical_abstract,text_label=condition_label"}
    abstracts = prepare(TextCsv(**options), real_data / "medical_abstracts_tc", tmp_path / "a", "by-patient")
    assert (
        sum(counts["fields"]["text_label"] for counts in abstracts.splits.values()) == 2888 and not abstracts.set_aside
    )
    options = {"file": "indiana_reports.csv", "modality": "xray", "body_part": "chest"}
    reports = prepare(TextCsv(**options), real_data / "iu_xray" / "text_only", tmp_path / "b", "by-patient")
    counted = sum(counts["records"] for counts in reports.splits.values())
    assert counted + reports.set_aside["no text"] == 3851
