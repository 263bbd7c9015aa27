"""ROCOv2: the archive's tables and the Hugging Face columns."""

import pytest
from bad_input_text import CSV, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.datasets.rocov2 import RocoV2
from unimedvlp.errors import UserError

SPLITS = {"train": "train", "validation": "valid", "test": "test"}


def write(source):
    licences = []
    for i, (split, name) in enumerate(SPLITS.items()):
        ids = [f"ROCOv2_2023_{name}_{k:06d}" for k in range(1, 4)]
        save(
            source / f"{name}_captions.csv",
            CSV.dump([{"ID": x, "Caption": f"A CT, café {x}.\nTwo lines"} for x in ids]),
        )
        save(source / f"{name}_concepts.csv", CSV.dump([{"ID": x, "CUIs": "C0040405"} for x in ids]))
        licences += [{"ID": x, "PMCID": "PMC1", "Attribution": f"CC BY {split}", "Link": "https://x"} for x in ids[1:]]
        for k, x in enumerate(ids):
            save(source / f"{name}_images" / name / f"{x}.jpg", jpeg(10 * i + k))
    save(source / "license_information.csv", CSV.dump(licences))


FILE = File(CSV, "Caption", "ID", ("ID", "Caption"))
IMAGE = "test_images/test/ROCOv2_2023_test_000002.jpg"
LAYOUT = Layout(RocoV2(), "official", write, {f"{name}_captions.csv": FILE for name in SPLITS.values()}, IMAGE)
test_bad_input = bad_input(LAYOUT)


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(RocoV2(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    first, second = splits["test"][:2]
    assert first.study_id == "ROCOv2_2023_test_000001/test" and first.licence == RocoV2.licence
    assert second.caption == "A CT, café ROCOv2_2023_test_000002.\nTwo lines" and second.licence == "CC BY test"
    assert second.images[0] == (tmp_path / "source" / IMAGE).read_bytes()


def test_other_places_and_columns(tmp_path):
    for i, split in enumerate(SPLITS):
        row = {"image": f"{split}.png", "image_id": f"ROCOv2_2023_{split}_000001", "caption": "None", "cui": "['C1']"}
        save(tmp_path / "source" / f"{split}.csv", CSV.dump([row]))
        save(tmp_path / "source" / "images" / f"{row['image_id']}.jpg", jpeg(i))
    splits = everything(RocoV2(), tmp_path / "source", tmp_path / "out", "official")
    assert [splits[split][0].caption for split in SPLITS] == ["None"] * 3


def test_images_that_are_still_packed(tmp_path):
    write(tmp_path)
    (tmp_path / "valid_images").rename(tmp_path / "packed")
    with pytest.raises(UserError, match=r"expected images in valid_images/valid/"):
        list(RocoV2().records(tmp_path, "official"))
