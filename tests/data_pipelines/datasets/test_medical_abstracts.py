"""The medical abstracts corpus."""

from bad_input_text import CSV, File, Layout, bad_input, everything, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.medical_abstracts import MedicalAbstracts

LABELS = "condition_label,condition_name\n1,neoplasms\n2,nervous system diseases, café\n".replace(
    "nervous system diseases, café", '"nervous system diseases, café"'
)


def write(source, rows=12):
    save(source / "medical_tc_labels.csv", LABELS)
    for part in ("train", "test"):
        table = [
            {"condition_label": 1 + i % 2, "medical_abstract": f'A "{part}" abstract, café {i}. (0.5%)'}
            for i in range(rows)
        ]
        save(source / f"medical_tc_{part}.csv", CSV.dump(table))


FILE = File(CSV, "condition_label", swap=("condition_label", "medical_abstract"))
LAYOUT = Layout(
    MedicalAbstracts(),
    "official",
    write,
    {
        "medical_tc_train.csv": FILE,
        "medical_tc_test.csv": FILE,
        "medical_tc_labels.csv": File(CSV, "condition_name", swap=("condition_label", "condition_name")),
    },
)
test_bad_input = bad_input(LAYOUT)


def test_records(tmp_path):
    write(tmp_path / "source", 40)
    splits = everything(MedicalAbstracts(), tmp_path / "source", tmp_path / "out", "official")
    assert len(splits["test"]) == 40 and len(splits["train"]) + len(splits["validation"]) == 40 and splits["validation"]
    record = splits["test"][1]
    assert record.text == 'A "test" abstract, café 1. (0.5%)' and record.text_label == "nervous system diseases, café"
    assert record.study_id == "test-2/test" and record.modality == "text"


def test_the_test_file_alone(tmp_path):
    write(tmp_path / "source", 20)
    (tmp_path / "source" / "medical_tc_train.csv").unlink()
    repeated = (tmp_path / "source" / "medical_tc_test.csv").read_text().replace("café 19", "café 0")
    save(tmp_path / "source" / "medical_tc_test.csv", repeated)
    ordered = prepare(MedicalAbstracts(), tmp_path / "source", tmp_path / "out", "test-file-in-order")
    assert {split: counts["records"] for split, counts in ordered.splits.items()} == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }
    assert ordered.leaks
    disjoint = everything(MedicalAbstracts(), tmp_path / "source", tmp_path / "out", "test-file-disjoint")
    homes = {split for split, records in disjoint.items() for record in records if "café 0." in record.text}
    assert len(homes) == 1 and sum(map(len, disjoint.values())) == 20


def test_real_test_file(real_data, tmp_path):
    for protocol in ("test-file-disjoint", "test-file-in-order"):
        summary = prepare(MedicalAbstracts(), real_data / "medical_abstracts_tc", tmp_path, protocol)
        assert {split: counts["records"] for split, counts in summary.splits.items()} == summary.expected
        assert sum(summary.expected.values()) == 2888 and not summary.set_aside
