"""The COVID-19 collection: notes, findings, boxes, polygons, masks, and what is to be ignored."""

import cv2
import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from data_pipelines.datasets.covid_cxr import labels
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.covid_cxr(tmp_path / "covid")


def mask_of(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) > 0


def test_annotations_of_all_kinds(source):
    records, aside = read("covid_cxr", source)
    assert list(records) == ["a.jpg", "b.png", "c.jpeg", "d.png"]
    one, two, three, four = records.values()
    assert one.caption == "Fever, cough." and one.licence == "CC BY 3.0" and one.patient_id == four.patient_id == "2"
    assert one.box_classes == ("right lung", "left lung") and one.mask_classes == ("lung", "lung")
    np.testing.assert_allclose(one.boxes[0], [0.1, 0.1, 0.85, 0.35], atol=1e-6)
    assert mask_of(one.masks[0])[2:17, 4:14].all() and mask_of(one.masks[0]).sum() == 150
    assert mask_of(one.masks[1])[:, 10:15].all() and mask_of(one.masks[1]).sum() == 100
    assert two.mask_classes == ("lung",) and mask_of(two.masks[0]).sum() == 100 and len(two.boxes) == 0
    assert [record.views for record in records.values()] == [("frontal",), ("frontal",), ("lateral",), ("frontal",)]
    assert three.labels == {} and three.licence == "not stated"
    assert sorted(reasons(aside)) == ["a region to ignore", "an annotation without a known category"]
    assert next(item for item in aside if "category" in item.reason).where == "annotations.json b.png annotation 850"


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ("todo", {}),
        ("Unknown", {}),
        ("", {}),
        ("COVID-19, ARDS", {"covid-19": POSITIVE, "no finding": NEGATIVE, "ards": POSITIVE}),
        ("No Finding", {"covid-19": NEGATIVE, "no finding": POSITIVE}),
        ("Pneumonia/Viral/SARS", {"covid-19": NEGATIVE, "no finding": NEGATIVE, "pneumonia": POSITIVE, "viral": POSITIVE, "sars": POSITIVE}),
    ],
)  # fmt: skip
def test_labels(finding, expected):
    assert labels(finding) == expected


def test_masks_stand_in_for_unusable_polygons(source):
    path = source / "annotations/v7_covid_only_coco.json"
    path.write_text(path.read_text().replace('"size": [20, 40]', '"size": [40, 20]'))
    (source / "annotations/v7_mask_to_image.csv").write_text("mask,filename\n11.png,a.jpg\n")
    records, aside = read("covid_cxr", source)
    assert len(records["a.jpg"].masks) == 1 and mask_of(records["a.jpg"].masks[0])[5:15, 5:15].all()
    assert any(reason.startswith("run lengths for size [40, 20]") for reason in reasons(aside))


def test_annotations_are_optional_but_metadata_is_not(source, tmp_path):
    for path in (source / "annotations").rglob("*.*"):
        path.unlink()
    summary, _ = prepared("covid_cxr", source, tmp_path)
    assert not summary.set_aside and sum(split["boxes"] for split in summary.splits.values()) == 0
    (source / "metadata.csv").unlink()
    with pytest.raises(UserError, match=r"expected metadata.csv; found annotations/, images/"):
        read("covid_cxr", source)


def test_real_copy(real_data, tmp_path):
    summary, splits = prepared("covid_cxr", real_data / "covid_cxr", tmp_path)
    assert sum(split["records"] for split in summary.splits.values()) == 220
    assert sum(split["boxes"] for split in summary.splits.values()) == 440
    assert sum(split["fields"].get("caption", 0) for split in summary.splits.values()) == 116
    assert sum(split["fields"].get("masks", 0) for split in summary.splits.values()) == 113
    assert summary.set_aside["a region to ignore"] == 9 and sum(summary.set_aside.values()) == 10
    records = {key: record for split in splits.values() for key, record in split.items()}
    names = dict(
        line.split(",")[::-1]
        for line in (real_data / "covid_cxr/annotations/v7_mask_to_image.csv").read_text().splitlines()[1:]
    )
    overlaps = []
    for name, mask in names.items():
        drawn = (
            cv2.imread(str(real_data / "covid_cxr/annotations/v7-semantic-masks" / mask), cv2.IMREAD_GRAYSCALE) == 255
        )
        ours = np.logical_or.reduce([mask_of(data) for data in records[name].masks])
        overlaps.append((drawn & ours).sum() / (drawn | ours).sum())
    assert len(overlaps) == 113 and np.mean(overlaps) > 0.985 and min(overlaps) > 0.9
