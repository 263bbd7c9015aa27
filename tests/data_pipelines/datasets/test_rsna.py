"""RSNA Pneumonia: several boxes a patient, published rules, and no identity of the DICOM files in a record."""

import dataclasses

import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from data_pipelines.datasets import rsna
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.rsna(tmp_path / "rsna")


def test_boxes_labels_and_classes(source):
    records, aside = read("rsna", source)
    assert len(records) == 8 and not aside
    one, two, three = list(records.values())[:3]
    np.testing.assert_allclose(one.boxes, [[0.2, 0.1, 0.45, 0.6], [0.05, 0.6, 0.825, 0.9]], atol=1e-6)
    assert one.box_classes == ("pneumonia", "pneumonia")
    assert one.labels == {"pneumonia": POSITIVE, "abnormal": POSITIVE} and one.patient_id == one.study_id
    assert two.labels == {"pneumonia": NEGATIVE, "abnormal": POSITIVE} and len(two.boxes) == 0
    assert len(three.boxes) == 1 and list(records.values())[3].labels["abnormal"] == NEGATIVE
    assert one.images[0].startswith(b"\x89PNG") and one.modality == "xray"


def test_nothing_of_the_patient_reaches_a_record(source, tmp_path):
    _, splits = prepared("rsna", source, tmp_path, "by-patient")
    for records in splits.values():
        for record in records.values():
            content = b"".join(record.images) + repr(dataclasses.replace(record, images=())).encode()
            assert not any(word.encode() in content for word in natives.IDENTIFIERS)


def test_gloria_and_mgca_rules_have_their_published_sizes(tmp_path):
    ids = [f"{i:08x}" for i in np.random.default_rng(0).permutation(26684)]
    lines = [f"{patient},,,,,0" for patient in ids] + [f"{ids[0]},1,2,3,4,1"]
    natives.put(tmp_path / rsna.LABELS, "\n".join(["patientId,x,y,width,height,Target", *lines, ""]))
    sizes = {}
    for name in ("gloria-70-15-15", "mgca-detection"):
        protocol = rsna.BUILDER.protocols[name]
        lists = protocol.lists(tmp_path)
        sizes[name] = {split: len(members) for split, members in lists.items()}
        assert sizes[name] == protocol.expected and len(set().union(*lists.values())) == 26684
    assert protocol.lists(tmp_path)["test"][:2] == lists["test"][:2]


def test_gloria_rule_is_train_test_split_of_the_sorted_ids(source, tmp_path):
    from sklearn.model_selection import train_test_split

    _, splits = prepared("rsna", source, tmp_path, "gloria-70-15-15")
    ids = sorted(rsna.patients(source))
    train, rest = train_test_split(ids, test_size=0.3, random_state=0)
    test, validation = train_test_split(rest, test_size=0.5, random_state=0)
    found = {split: sorted(records) for split, records in splits.items()}
    assert found == {"train": sorted(train), "validation": sorted(validation), "test": sorted(test)}
    with pytest.raises(UserError, match="needs more than 10674 studies; the table lists 8"):
        prepared("rsna", source, tmp_path, "mgca-detection")


def test_mrm_takes_labels_of_the_test_images_from_its_list(source, tmp_path, monkeypatch):
    monkeypatch.setattr(rsna, "MRM_VALIDATION", 2)
    with pytest.raises(UserError, match=r"test_list.txt is missing: .*RL4M/MRM-pytorch"):
        prepared("rsna", source, tmp_path, "mrm")
    natives.put(source / "test_list.txt", "stage_2_test_images/fffb2395-8edd-4954-8a89-ffe2fd329be3.dcm 1 \n")
    _, splits = prepared("rsna", source, tmp_path, "mrm")
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [6, 2, 1]
    assert max(splits["train"]) < min(splits["validation"])
    (record,) = splits["test"].values()
    assert record.labels == {"pneumonia": POSITIVE} and len(record.boxes) == 0


def test_rows_that_disagree_are_set_aside(source):
    path = source / rsna.LABELS
    lines = path.read_text().splitlines()
    patients = [line.split(",")[0] for line in lines]
    lines[3] = lines[3].replace(",0", ",2")
    lines += [f"{patients[5]},1,1,3,3,1", f"{patients[6]},1,1,3,3,0", f"{patients[1]},2,4,10,5,1"]
    path.write_text("\n".join(lines))
    with (source / rsna.CLASSES).open("a") as file:
        file.write(f"{patients[7]},Lung Opacity\n")
    records, aside = read("rsna", source)
    assert len(records) == 5
    assert reasons(aside) == [
        "the same box twice", "Target is 2; expected 0 or 1", "Target is 0 and 1; expected 0 or 1",
        "a box although Target is 0", "class is Lung Opacity and Normal",
    ]  # fmt: skip


def test_wrong_layout(source):
    (source / rsna.LABELS).unlink()
    with pytest.raises(UserError, match=r"expected stage_2_train_labels.csv; found stage_2_detailed"):
        read("rsna", source)
