"""MedMNIST: arrays of an archive, one image after another, with the names of the classes."""

import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from data_pipelines.datasets.medmnist import SETS
from data_pipelines.images import decode
from unimedvlp.errors import UserError
from unimedvlp.records import MODALITIES, NEGATIVE, POSITIVE


def test_grey_images_with_named_classes(tmp_path):
    source = natives.medmnist(tmp_path / "m")
    summary, splits = prepared("medmnist", source, tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "validation": 2, "test": 2}
    arrays = np.load(source / "pneumoniamnist.npz")
    record = splits["validation"]["val/1"]
    assert (decode(record.images[0], channels=1)[..., 0] == arrays["val_images"][1]).all()
    assert record.labels == {"normal": NEGATIVE, "pneumonia": POSITIVE} and record.modality == "xray"
    assert not summary.set_aside


def test_colour_keeps_its_channels(tmp_path):
    source = natives.medmnist(tmp_path / "m", "bloodmnist_64", (8, 8, 3))
    records, _ = read("medmnist", source)
    image = np.load(source / "bloodmnist_64.npz")["train_images"][3]
    assert (decode(records["train/3"].images[0]) == image).all() and records["train/3"].modality == "microscopy"
    assert records["train/3"].labels["eosinophil"] == POSITIVE and len(records["train/3"].labels) == 8


def test_many_labels_an_image(tmp_path):
    source = natives.medmnist(tmp_path / "m", "own", classes=0)
    records, _ = read("medmnist", source, names="a, b, c")
    row = np.load(source / "own.npz")["train_labels"][0]
    assert records["train/0"].labels == dict(zip("abc", np.where(row, POSITIVE, NEGATIVE), strict=True))
    assert set(read("medmnist", source)[0]["train/0"].labels) == {"class 0", "class 1", "class 2"}


def test_names_are_those_of_the_owner():
    assert {name: len(classes) for name, (_, _, classes) in SETS.items()} == {
        "pathmnist": 9, "chestmnist": 14, "dermamnist": 7, "octmnist": 4, "pneumoniamnist": 2, "retinamnist": 5,
        "breastmnist": 2, "bloodmnist": 8, "tissuemnist": 8, "organamnist": 11, "organcmnist": 11, "organsmnist": 11,
    }  # fmt: skip
    assert all(modality in MODALITIES for modality, _, _ in SETS.values())


def test_unknown_labels_are_set_aside(tmp_path):
    source = natives.medmnist(tmp_path / "m", classes=4)
    records, aside = read("medmnist", source)
    assert len(records) == 8 and set(reasons(aside)) == {
        "label [2] or image of uint8 is unknown", "label [3] or image of uint8 is unknown",
    }  # fmt: skip
    assert aside[0].where == "pneumoniamnist.npz train_images[2]"


def rewrite(path, **changes):
    arrays = dict(np.load(path)) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_images": None}, "has no array val_images"),
        ({"val_labels": np.zeros((3, 1), np.uint8)}, "2 val_images and 3 val_labels"),
        ({"val_images": np.zeros((2, 4, 4, 4), np.uint8)}, r"shape \[2, 4, 4, 4\]; expected \[N, H, W\]"),
        ({"val_labels": np.array([[None], [1]])}, "holds Python objects"),
        ({"val_images": np.asfortranarray(np.zeros((2, 4, 4), np.uint8))}, "stored by columns"),
    ],
)
def test_wrong_arrays(tmp_path, changes, message):
    source = natives.medmnist(tmp_path / "m")
    rewrite(source / "pneumoniamnist.npz", **changes)
    with pytest.raises(UserError, match=message):
        read("medmnist", source)


def test_which_file(tmp_path):
    source = natives.medmnist(natives.medmnist(tmp_path / "m"), "octmnist", classes=4)
    with pytest.raises(UserError, match=r"octmnist.npz, pneumoniamnist.npz; choose one with --file"):
        read("medmnist", source)
    assert read("medmnist", source, file="octmnist.npz")[0]["train/2"].labels["drusen"] == POSITIVE
    with pytest.raises(UserError, match=r"expected pathmnist.npz; found octmnist.npz"):
        read("medmnist", source, file="pathmnist.npz")
