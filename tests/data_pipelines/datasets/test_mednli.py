"""MedNLI's native files."""

from bad_input_text import LINES, File, Layout, bad_input, everything, save

from data_pipelines.datasets.mednli import FILES, MedNli
from unimedvlp.records import Record

RELATIONS = ("entailment", "neutral", "contradiction")
FILE = File(LINES, "sentence2", "pairID", ("sentence1", "gold_label"))


def write(source):
    for split, name in FILES.items():
        rows = [
            {
                "gold_label": relation,
                "pairID": f"{split}-{i}",
                "sentence1": f"Labs were notable for Cr 1.7 in café {i // 3}. ",
                "sentence1_parse": "(ROOT)",
                "sentence2": f"Patient has elevated Cr, no. {i}",
            }
            for i, relation in enumerate(RELATIONS)
        ]
        save(source / name, LINES.dump(rows))


LAYOUT = Layout(MedNli(), "official", write, {name: FILE for name in FILES.values()})
test_bad_input = bad_input(LAYOUT)


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(MedNli(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    assert splits["validation"][2] == Record(
        "validation-2/validation",
        modality="text",
        premise="Labs were notable for Cr 1.7 in café 0.",
        hypothesis="Patient has elevated Cr, no. 2",
        relation="contradiction",
        source="mednli mli_dev_v1.jsonl pair 3",
        licence=MedNli.licence,
        boxes=splits["validation"][2].boxes,
    )


def test_pairs_without_consensus_are_set_aside(tmp_path):
    write(tmp_path)
    path = tmp_path / FILES["test"]
    path.write_text(path.read_text().replace('"neutral"', '"-"', 1))
    items = list(MedNli().records(tmp_path, "official"))
    assert [item.where for item in items if not isinstance(item, Record)] == ["mli_test_v1.jsonl pair 2: '-'"]
