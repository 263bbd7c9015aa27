"""VinDr-CXR: boxes of three readers, a consensus for the test, DICOM of both polarities."""

import dataclasses

import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN


@pytest.fixture
def source(tmp_path):
    return natives.vindr(tmp_path / "vindr")


def test_boxes_of_all_readers_and_votes(source):
    records, aside = read("vindr", source)
    assert len(records) == 6 and not aside
    one = records["train/aaa"]
    assert one.box_classes == ("cardiomegaly", "cardiomegaly", "nodule/mass")
    np.testing.assert_allclose(one.boxes[0], [0.2, 0.05, 0.8, 0.75], atol=1e-6)
    assert one.labels == {"cardiomegaly": POSITIVE, "nodule/mass": UNCERTAIN, "no finding": NEGATIVE}
    assert records["train/bbb"].labels["no finding"] == POSITIVE and len(records["train/bbb"].boxes) == 0
    assert records["test/eee"].labels == {"cardiomegaly": POSITIVE, "no finding": NEGATIVE}
    assert records["test/fff"].labels["no finding"] == POSITIVE


def test_official_split_and_identity(source, tmp_path):
    summary, splits = prepared("vindr", source, tmp_path)
    assert set(splits["test"]) == {"test/eee", "test/fff"} and summary.protocol == "official"
    for record in (record for split in splits.values() for record in split.values()):
        content = b"".join(record.images) + repr(dataclasses.replace(record, images=())).encode()
        assert not any(word.encode() in content for word in natives.IDENTIFIERS)


def test_vinbigdata_has_no_test(source, tmp_path):
    (source / "annotations/annotations_train.csv").rename(source / "train.csv")
    (source / "annotations/annotations_test.csv").unlink()
    assert len(read("vindr", source, "by-image")[0]) == 4
    with pytest.raises(UserError, match=r"annotations_test.csv \(or take --protocol by-image\)"):
        read("vindr", source, "official")


def test_bad_rows_are_set_aside(source):
    path = source / "annotations/annotations_train.csv"
    text = path.read_text().replace("aaa,R9,Cardiomegaly,3,4,31,16", "aaa,R9,Cardiomegaly,3,4,NaN,16")
    path.write_text(text + "ddd,R11,,1,1,2,2,\n,R8,Cardiomegaly,1,1,2,2,3\nzzz,R8,No finding,,,,,14\n")
    records, aside = read("vindr", source)
    assert len(records["train/aaa"].boxes) == 2 and "train/zzz" not in records
    assert reasons(aside) == [
        "a box is not four numbers", "a row without class_name", "1 rows without image_id", "image file missing",
    ]  # fmt: skip


def test_image_labels_are_voted_on_and_have_diagnoses_without_boxes(source):
    head = "image_id,rad_id,Cardiomegaly,COPD,Other diseases,No finding"
    rows = [
        "aaa,R8,1,1,0,0",
        "aaa,R9,1.0,0.0,0,0",
        "aaa,R10,1,,0,0",
        "bbb,R8,0,0,0,1",
        "bbb,R9,0,maybe,0,1",
        ",R1,0,0,0,1",
    ]
    folder = source / "annotations"
    (folder / "image_labels_train.csv").write_text("\n".join([head, *rows, "zzz,R8,0,0,0,1", ""]))
    (folder / "image_labels_test.csv").write_text("image_id,Cardiomegaly,Other disease,No finding\neee,0,1,0\n")
    records, aside = read("vindr", source)
    assert records["train/aaa"].labels == {
        "cardiomegaly": POSITIVE, "copd": UNCERTAIN, "other diseases": NEGATIVE, "no finding": NEGATIVE,
    }  # fmt: skip
    assert records["train/bbb"].labels["no finding"] == POSITIVE and len(records["train/aaa"].boxes) == 3
    assert records["train/ccc"].labels["no finding"] == POSITIVE and "copd" not in records["train/ccc"].labels
    assert records["test/eee"].labels == {"cardiomegaly": NEGATIVE, "other diseases": POSITIVE, "no finding": NEGATIVE}
    wrong = "a row of image labels without image_id, or with a label that is not 1 or 0"
    assert reasons(aside) == [wrong, wrong, "labels of an image without annotations"]
