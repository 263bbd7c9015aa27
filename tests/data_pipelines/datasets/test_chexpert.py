"""CheXpert: labels by name, uncertain values, the prefix of paths, and who is in which split."""

import natives
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN


@pytest.fixture
def source(tmp_path):
    return natives.chexpert(tmp_path / "chexpert")


def test_labels_views_and_patients(source):
    records, aside = read("chexpert", source)
    assert len(records) == 6 and not aside
    one = records["train/patient00001/study1/view1_frontal"]
    assert one.labels == {"no finding": POSITIVE, "pneumothorax": NEGATIVE, "support devices": POSITIVE}
    assert (one.patient_id, one.views, one.modality, one.body_part) == ("patient00001", ("frontal",), "xray", "chest")
    assert one.images[0] == (source / "small/train/patient00001/study1/view1_frontal.jpg").read_bytes()
    two = records["train/patient00002/study2/view2_lateral"]
    assert two.views == ("lateral",) and two.labels["cardiomegaly"] == UNCERTAIN and two.labels["fracture"] == POSITIVE
    assert list(two.labels.values()).count(UNCERTAIN) == 5 and "no finding" not in two.labels
    assert records["train/patient00005/study1/view1_frontal"].labels == {}
    assert len(records["valid/patient64542/study1/view2_lateral"].labels) == 14


def test_protocols(source, tmp_path):
    summary, splits = prepared("chexpert", source, tmp_path, "valid-frontal-202")
    assert set(splits["test"]) == {"valid/patient64541/study1/view1_frontal"} and summary.not_in_protocol == 2
    assert summary.expected == {"test": 202}
    assert {record.views for split in splits.values() for record in split.values()} == {("frontal",)}
    _, splits = prepared("chexpert", source, tmp_path, "valid-234")
    assert len(splits["test"]) == 2 and sum(map(len, splits.values())) == 6
    _, splits = prepared("chexpert", source, tmp_path, "official")
    assert len(splits["validation"]) == 2 and "test" not in splits


def test_the_test_set_has_labels_only(source, tmp_path):
    header = ",".join(["Path", *natives.CHEXPERT_COLUMNS.split(",")[5:]])
    row = "CheXpert-v1.0/test/patient64741/study1/view1_frontal.jpg," + ",".join("01010101010101")
    natives.put(source / "small/test_labels.csv", f"{header}\n{row}\n")
    natives.put(source / "small/test/patient64741/study1/view1_frontal.jpg", natives.picture(9, suffix=".jpg"))
    _, splits = prepared("chexpert", source, tmp_path, "official")
    (record,) = splits["test"].values()
    assert record.views == ("frontal",) and record.labels["enlarged cardiomediastinum"] == POSITIVE


def test_lists_of_mrm(source, tmp_path):
    name = "CheXpert-v1.0-small/{}.jpg 0 1 0 0 1\n"
    natives.put(source / "splits/train_list.txt", name.format("train/patient00001/study1/view1_frontal"))
    natives.put(source / "splits/test_list.txt", name.format("valid/patient64541/study1/view1_frontal"))
    summary, splits = prepared("chexpert", source, tmp_path, "lists")
    assert [len(splits[name]) for name in ("train", "test")] == [1, 1] and summary.not_in_protocol == 4


def test_a_study_in_two_lists_and_a_patient_in_two_splits_are_refused(source, tmp_path):
    names = ["train/patient00002/study2/view1_frontal", "train/patient00002/study2/view2_lateral"]
    natives.put(source / "splits/train.txt", names[0])
    natives.put(source / "splits/test.txt", names[0])
    with pytest.raises(UserError, match=f"study {names[0]} is in both train and test"):
        prepared("chexpert", source, tmp_path, "lists")
    natives.put(source / "splits/test.txt", names[1])
    with pytest.raises(UserError, match="patient 'patient00002' is in both train and test"):
        prepared("chexpert", source, tmp_path, "lists")


def test_odd_values_are_set_aside(source):
    path = source / "small/train.csv"
    path.write_text(path.read_text().replace(",,,,,,,,,0.0,,,,1.0", ",,,,,,,,,2,,,,1.0").replace("patient00005", "p5"))
    records, aside = read("chexpert", source)
    assert len(records) == 4
    assert reasons(aside) == ["a finding is '2'; expected 1, 0, -1 or nothing", "the path names no patient"]


def test_wrong_layout(source, tmp_path):
    (source / "small/valid.csv").unlink()
    with pytest.raises(UserError, match=r"expected valid.csv; found train"):
        read("chexpert", source)
    with pytest.raises(UserError, match=r"expected train.csv or valid.csv; found small"):
        (source / "small/train.csv").unlink()
        read("chexpert", source)
