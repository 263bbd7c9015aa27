"""A user's images with masks beside them: label maps, binary masks, one file a class."""

import cv2
import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError


@pytest.fixture
def source(tmp_path):
    return natives.image_mask_folder(tmp_path / "folder")


def mask_of(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) > 0


def png(array):
    return cv2.imencode(".png", array)[1].tobytes()


def test_label_maps_and_palettes(source, tmp_path):
    _, splits = prepared("image_mask_folder", source, tmp_path, classes="1=lung, 2=heart", modality="xray")
    assert {name: len(split) for name, split in splits.items()} == {"train": 2, "validation": 2, "test": 2}
    for split in splits.values():
        first, second = split.values()
        assert first.mask_classes == ("lung",) and second.mask_classes == ("lung", "heart")
        assert mask_of(second.masks[0]).sum() == 48 and mask_of(second.masks[1])[10:18, 20:30].all()
    assert read("image_mask_folder", source)[0]["train/images/p0_1.png"].mask_classes == ("class 1", "class 2")


def test_one_file_a_class(tmp_path):
    for split in ("train", "test"):
        natives.put(tmp_path / split / "007_CT_abdomen.png", natives.picture(len(split), 20, 40))
        for i, target in enumerate(("liver", "left+kidney", "mask")):
            mask = np.zeros((20, 40), np.uint8)
            mask[: i + 1] = 255
            natives.put(tmp_path / f"{split}_mask" / f"007_CT_abdomen_{target}.png", png(mask))
    records, aside = read("image_mask_folder", tmp_path)
    assert not aside and list(records) == ["test/007_CT_abdomen.png", "train/007_CT_abdomen.png"]
    one = records["train/007_CT_abdomen.png"]
    assert dict(zip(one.mask_classes, [mask_of(data).sum() for data in one.masks], strict=True)) == {
        "left kidney": 80, "liver": 40, "foreground": 120,
    }  # fmt: skip


def test_splits_inside_of_images_and_masks(tmp_path):
    for split in ("train", "val"):
        natives.put(tmp_path / f"images/{split}/a_{split}.png", natives.picture(len(split), 20, 40))
        natives.put(tmp_path / f"masks/{split}/a_{split}.png", png(np.full((20, 40), 255, np.uint8)))
    assert set(read("image_mask_folder", tmp_path)[0]) == {"images/train/a_train.png", "images/val/a_val.png"}


def test_the_longest_name_owns_a_mask(tmp_path):
    for name in ("a", "a_b"):
        natives.put(tmp_path / f"train/images/{name}.png", natives.picture(len(name), 20, 40))
    for name in ("a", "a_b", "a_b_c"):
        natives.put(tmp_path / f"train/masks/{name}.png", png(np.full((20, 40), 255, np.uint8)))
    records, _ = read("image_mask_folder", tmp_path)
    assert records["train/images/a.png"].mask_classes == ("foreground",)
    assert records["train/images/a_b.png"].mask_classes == ("foreground", "c")


def test_what_does_not_fit_is_set_aside(source):
    folder = source / "train"
    natives.put(folder / "images/alone.png", natives.picture(1, 20, 40))
    natives.put(folder / "masks/stray.png", png(np.full((20, 40), 1, np.uint8)))
    natives.put(folder / "masks/p0_0.png", png(np.full((40, 20), 1, np.uint8)))
    natives.put(folder / "masks/p0_1_mask.png", png(np.arange(800, dtype=np.uint8).reshape(20, 40)))
    records, aside = read("image_mask_folder", source)
    assert len(records) == 4
    assert sorted(reasons(aside)) == [
        "a mask of 20x40 on an image of 40x20", "a mask with more than 64 values is no label map",
        "image without a mask", "mask without an image",
    ]  # fmt: skip


def test_an_empty_mask_is_an_image_without_objects(source):
    natives.put(source / "train/masks/p0_0.png", png(np.zeros((20, 40), np.uint8)))
    records, aside = read("image_mask_folder", source)
    assert records["train/images/p0_0.png"].masks == () and not aside


def test_options_and_layout(source, tmp_path):
    with pytest.raises(UserError, match="--classes 'lung': expected VALUE=NAME"):
        read("image_mask_folder", source, classes="lung")
    with pytest.raises(UserError, match="add --protocol by-patient"):
        read("image_mask_folder", source / "train", "given")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="expected images/ and masks/"):
        read("image_mask_folder", tmp_path / "empty")


def test_real_vessels_as_your_own(real_data, tmp_path):
    """CHASE_DB1 without its builder: one folder of images, one of masks, a class an observer."""
    for folder in ("all", "all_mask"):
        (tmp_path / folder).mkdir()
    for path in (real_data / "chasedb1/CHASEDB1").iterdir():
        (tmp_path / ("all" if path.suffix == ".jpg" else "all_mask") / path.name).symlink_to(path)
    records, aside = read("image_mask_folder", tmp_path, "by-patient", modality="fundus", patient=r"Image_(\d+)")
    assert len(records) == 28 and not aside and len({record.patient_id for record in records.values()}) == 14
    assert {record.mask_classes for record in records.values()} == {("1stHO", "2ndHO")}
