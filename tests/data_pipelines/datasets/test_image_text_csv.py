"""A user's own images with words or labels in a table."""

import csv

import cv2
import pytest
from bad_input_text import CSV, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.image_text_csv import ImageTextCsv
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN


def write(source):
    rows = []
    for i in range(9):
        split = ("train", "valid", "test")[i % 3]
        rows.append({"study_id": f"s{i}", "filepath": f"{split}/{i}.jpg", "title": f"A café, {i}", "split": split})
        save(source / "images" / split / f"{i}.jpg", jpeg(i))
    save(source / "pairs.csv", CSV.dump(rows))


FILE = File(CSV, "filepath", "study_id", ("filepath", "title"), "filepath")
test_bad_input = bad_input(Layout(ImageTextCsv(), "given", write, {"pairs.csv": FILE}, "images/train/0.jpg"))


def test_usual_names_need_no_option(tmp_path):
    write(tmp_path / "source")
    splits = everything(ImageTextCsv(), tmp_path / "source", tmp_path / "out", "given")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    record = splits["test"][0]
    assert record.study_id == "s2/test" and record.caption == "A café, 2" and record.views == ("unknown",)
    assert record.images[0] == (tmp_path / "source/images/test/2.jpg").read_bytes()


def test_reports_labels_patients_and_views(tmp_path):
    rows = [
        {"png": f"x{i}", "text of it": "FINDINGS: Clear.\n\nIMPRESSION: Ok.", "who": f"p{i // 2}", "Edema": mark, "Mass": "", "View": "PA"}
        for i, mark in enumerate(("1", "0.0", "-1", "2"))
    ]  # fmt: skip
    save(tmp_path / "source" / "table.csv", CSV.dump(rows))
    for i in range(4):
        save(
            tmp_path / "source" / "pictures" / f"x{i}.png",
            cv2.imencode(".png", cv2.imdecode(_array(i), 0))[1].tobytes(),
        )
    builder = ImageTextCsv(
        columns="image=png,report=text of it,patient=who,view=View",
        images="pictures",
        labels="Edema, Mass",
        modality="xray",
    )
    splits = everything(builder, tmp_path / "source", tmp_path / "out", "by-patient")
    records = sorted((record for found in splits.values() for record in found), key=lambda record: record.study_id)
    assert [record.labels for record in records] == [{"Edema": POSITIVE}, {"Edema": NEGATIVE}, {"Edema": UNCERTAIN}]
    assert records[0].findings == "Clear." and records[0].patient_id == "p0" and records[0].views == ("pa",)
    summary = prepare(builder, tmp_path / "source", tmp_path / "out", "by-patient")
    assert summary.set_aside == {"a label is not 1, 0 or -1": 1}
    with pytest.raises(UserError, match=r"table.csv: no column Edemas; found png, text of it"):
        prepare(ImageTextCsv(columns="image=png", labels="Edemas"), tmp_path / "source", tmp_path / "b", "by-patient")


def _array(seed):
    import numpy as np

    return np.frombuffer(jpeg(seed), np.uint8)


def test_one_class_an_image(tmp_path):
    write(tmp_path / "source")
    text = (tmp_path / "source/pairs.csv").read_text().replace("title", "class")
    save(tmp_path / "source/pairs.csv", text)
    record = everything(ImageTextCsv(), tmp_path / "source", tmp_path / "out", "given")["train"][0]
    assert record.labels == {"A café, 0": POSITIVE} and record.caption == ""


def test_dicom_files(real_data, tmp_path):
    paths = sorted((real_data / "dicom_samples").rglob("RG1_J2KI.dcm"))
    names = [path.name for path in paths]
    save(tmp_path / "s" / "t.csv", CSV.dump([{"image": name, "caption": "a radiograph"} for name in names]))
    for path in paths:
        (tmp_path / "s" / path.name).symlink_to(path)
    splits = everything(ImageTextCsv(), tmp_path / "s", tmp_path / "out", "by-patient")
    records = [record for found in splits.values() for record in found]
    assert len(records) == len(names) > 0 and {record.modality for record in records} == {"xray"}


def test_no_image_column(tmp_path):
    save(tmp_path / "source" / "train.csv", "scan,caption\na.png,x\n")
    with pytest.raises(
        UserError, match=r"no column for image, usually image, .*found scan, caption; .*--columns image=COLUMN"
    ):
        prepare(ImageTextCsv(), tmp_path / "source", tmp_path / "out", "given")


def test_iu_xray_as_ones_own(real_data, tmp_path):
    source = real_data / "iu_xray"
    with (source / "indiana_reports.csv").open() as file:
        reports = {row["uid"]: row for row in csv.DictReader(file)}
    with (source / "indiana_projections.csv").open() as file:
        views = [row | reports[row["uid"]] for row in csv.DictReader(file) if row["projection"] == "Frontal"]
    save(tmp_path / "s" / "table.csv", CSV.dump(views))
    (tmp_path / "s" / "images").symlink_to(source / "images" / "images_normalized")
    builder = ImageTextCsv(columns="image=filename,patient=uid,caption=image", modality="xray", body_part="chest")
    summary = prepare(builder, tmp_path / "s", tmp_path / "out", "by-patient")
    assert sum(counts["fields"]["findings"] for counts in summary.splits.values()) == len(views) == 294
    assert not summary.set_aside
