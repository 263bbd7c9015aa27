"""MELINDA's tables."""

import pytest
from bad_input_text import CSV, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.datasets.melinda import FILES, LEVELS, Melinda
from unimedvlp.errors import UserError
from unimedvlp.records import POSITIVE


def write(source):
    for i, (split, name) in enumerate(FILES.items()):
        figures = [f"{split}_A.jpg", f"{split}_A.jpg", f"{split}_B.jpg"]
        rows = [
            {"": k, "figure_file": figure, "caption": f"Western blot, café {k}"}
            | {level: f"{level} {k}" for level in LEVELS}
            for k, figure in enumerate(figures)
        ]
        save(source / name, CSV.dump(rows))
        for k, figure in enumerate(set(figures)):
            save(source / "melinda_images" / figure, jpeg(10 * i + k))


FILE = File(CSV, "i_meth", swap=("figure_file", "caption"), path="figure_file")
LAYOUT = Layout(Melinda(), "official", write, {name: FILE for name in FILES.values()}, "melinda_images/train_B.jpg")
test_bad_input = bad_input(LAYOUT)


@pytest.mark.parametrize("level", LEVELS)
def test_records(tmp_path, level):
    write(tmp_path / "source")
    splits = everything(Melinda(level=level), tmp_path / "source", tmp_path / "out", "official")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    record = splits["test"][1]
    assert record.study_id == "test_A-2/test" and record.caption == "Western blot, café 1"
    assert record.labels == {f"{level} 1": POSITIVE} and record.text_label == f"{level} 1"


def test_an_unknown_level():
    with pytest.raises(UserError, match="--level 'x' is not one of i_meth, p_meth"):
        Melinda(level="x")
