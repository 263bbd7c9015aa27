"""RadNLI's native files."""

import pytest
from bad_input_text import LINES, File, Layout, bad_input, everything, save

from data_pipelines.datasets.radnli import FILES, RadNli
from unimedvlp.errors import UserError

RELATIONS = ("entailment", "neutral", "contradiction")
FILE = File(LINES, "sentence1", "pair_id", ("sentence1", "gold_label"))


def write(source):
    for split, name in FILES.items():
        rows = [
            {
                "pair_id": f"{name.removesuffix('.jsonl')}_{i}",
                "sentence1": f"The lungs are clear, café {i}.",
                "sentence2": f"There is no effusion {i}.",
                "gold_label": relation,
            }
            for i, relation in enumerate(RELATIONS)
        ]
        if split == "train":  # the pseudo-labelled pairs have no ids
            rows = [{key: value for key, value in row.items() if key != "pair_id"} for row in rows]
        save(source / name, LINES.dump(rows))


FILES_OF = {name: FILE if split != "train" else File(LINES, "gold_label") for split, name in FILES.items()}
test_bad_input = bad_input(Layout(RadNli(), "official", write, FILES_OF))


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(RadNli(), tmp_path / "source", tmp_path / "out", "official")
    assert [record.study_id for record in splits["train"]] == ["train-1/train", "train-2/train", "train-3/train"]
    assert [record.study_id for record in splits["test"]] == [f"radnli_test_v1_{i}/test" for i in range(3)]
    assert [record.relation for record in splits["validation"]] == list(RELATIONS)


def test_evaluation_needs_no_training_pairs(tmp_path):
    write(tmp_path / "source")
    (tmp_path / "source" / FILES["train"]).unlink()
    assert set(everything(RadNli(), tmp_path / "source", tmp_path / "out", "evaluation")) == {"validation", "test"}
    with pytest.raises(
        UserError, match=r"expected radnli_pseudo-train.jsonl; found radnli_dev_v1.jsonl, radnli_test_v1"
    ):
        everything(RadNli(), tmp_path / "source", tmp_path / "out", "official")
