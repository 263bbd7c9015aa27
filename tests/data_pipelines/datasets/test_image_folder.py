"""A user's folders of images by class."""

import natives
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.image_folder(tmp_path / "folder")


def test_classes_and_splits(source, tmp_path):
    summary, splits = prepared("image_folder", source, tmp_path, modality="xray")
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 2, "test": 2}
    record = splits["train"]["train/1_abnormal/00000_2.JPG"]
    assert record.labels == {"0_normal": NEGATIVE, "1_abnormal": POSITIVE} and record.modality == "xray"
    assert record.images[0] == (source / "train/1_abnormal/00000_2.JPG").read_bytes()
    assert summary.set_aside == {"no PNG, JPEG or DICOM file": 1}


def test_dicom_says_what_it_is(source):
    record = read("image_folder", source)[0]["train/1_abnormal/00000_3.dcm"]
    assert (record.modality, record.body_part, record.views) == ("xray", "chest", ("frontal",))
    assert not any(word.encode() in record.images[0] + repr(record).encode() for word in natives.IDENTIFIERS)


def test_folders_without_splits(source, tmp_path):
    plain = source / "train"
    with pytest.raises(UserError, match="add --protocol by-patient to make splits"):
        read("image_folder", plain, "given")
    summary, splits = prepared("image_folder", plain, tmp_path, "by-patient", patient=r"/(\d+)_\d\.")
    assert sum(map(len, splits.values())) == 3 and summary.options["patient"] == r"/(\d+)_\d\."
    assert {record.patient_id for split in splits.values() for record in split.values()} == {"00000"}


def test_images_outside_of_a_class_are_set_aside(source):
    natives.put(source / "train/loose.png", natives.picture(1))
    natives.put(source / "loose.png", natives.picture(1))
    _, aside = read("image_folder", source)
    assert sorted(reasons(aside)) == ["an image outside of a class folder"] * 2 + ["no PNG, JPEG or DICOM file"]


def test_no_class_at_all(tmp_path):
    natives.put(tmp_path / "a.png", natives.picture(1))
    with pytest.raises(UserError, match=r"expected a folder of images a class, .* found a.png"):
        read("image_folder", tmp_path)


def test_real_folders_share_patients(real_data, tmp_path):
    source = real_data / "nih_cxr14_64px/NIH1000"
    pattern = r"/(\d{8})_"
    with pytest.raises(UserError, match=r"patient '00000165' is in both test and train"):
        prepared("image_folder", source, tmp_path, "given", patient=pattern)
    summary, _ = prepared("image_folder", source, tmp_path, "by-patient", patient=pattern)
    assert sum(split["records"] for split in summary.splits.values()) == 1000 and not summary.set_aside
