"""ROCO as its fetching script leaves it: captions of all figures, images of those that could still be had."""

import pytest
from bad_input_text import CSV, File, Layout, bad_input, columns, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.roco import Roco
from unimedvlp.errors import UserError


def write(source, validation="validation"):
    for i, split in enumerate(("train", validation, "test")):
        for j, kind in enumerate(("radiology", "non-radiology")):
            folder = source / "data" / split / kind
            names = [f"ROCO_{10 * i + 5 * j + k:05d}" for k in range(3)]
            save(folder / "captions.txt", "".join(f'{name}\t A "CT" of a café, {name}.\n' for name in names))
            rows = [
                {
                    "ROCO_ID": name,
                    "PMC_ID": f"PMC{10 * i if k else 7}_fig_{name}.jpg",
                    "CC": "CC BY-NC" if k else "NO-CC CODE",
                }
                for k, name in enumerate(names)
            ]
            save(folder / "licences.txt", CSV.dump(rows))
            save(folder / "keywords.txt", "".join(f"{name}\t\tct\n" for name in names))
            for k, name in enumerate(names):
                save(folder / "images" / f"{name}.jpg", jpeg(100 * i + 10 * j + k))


FOLDER = "data/test/radiology"
LAYOUT = Layout(
    Roco(),
    "radiology",
    write,
    {f"{FOLDER}/captions.txt": File(columns("\t", "id", "caption"), "caption", "id", ("id", "caption"), "id")},
    image=f"{FOLDER}/images/ROCO_00020.jpg",
)
test_bad_input = bad_input(LAYOUT)


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(Roco(), tmp_path / "source", tmp_path / "out", "radiology")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    record = splits["test"][1]
    assert record.study_id == "ROCO_00021/test" and record.caption == 'A "CT" of a café, ROCO_00021.'
    assert record.licence == "CC BY-NC" and record.patient_id == "PMC20"
    assert record.images[0] == (tmp_path / "source" / FOLDER / "images" / "ROCO_00021.jpg").read_bytes()


def test_link_rot_is_counted_and_other_figures_are_a_protocol(tmp_path):
    write(tmp_path / "source", validation="val")  # as M3AE calls it
    for path in (tmp_path / "source" / "data" / "train" / "radiology" / "images").iterdir():
        path.unlink()
    summary = prepare(Roco(), tmp_path / "source", tmp_path / "out", "all")
    assert {split: counts["records"] for split, counts in summary.splits.items()} == {
        "train": 3,
        "validation": 6,
        "test": 6,
    }
    assert summary.set_aside == {"image file missing": 3} and summary.leaks


def test_both_tables_are_needed(tmp_path):
    write(tmp_path)
    (tmp_path / FOLDER / "licences.txt").unlink()
    with pytest.raises(UserError, match=r"test/radiology: expected licences.txt; found captions.txt, images/"):
        list(Roco().records(tmp_path, "radiology"))
