"""The record: the TFDS schema round-trips it, and every kind of mistake is named."""

import dataclasses

import cv2
import numpy as np
import pytest

from unimedvlp import records
from unimedvlp.errors import UserError
from unimedvlp.records import Question, Record

PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()


def full_record() -> Record:
    return Record(
        "s1", "p1", (PNG, PNG), ("frontal", "lateral"), "xray", "chest", "cough", "Clear lungs. é", "Normal.", "A chest.",
        {"nodule": "positive", "edema": "uncertain"}, np.array([[0.1, 0.2, 0.5, 0.9]], np.float32), ("nodule",), (PNG,),
        ("lung",), (Question("Is it normal?", "yes", "closed", "presence"), Question("Where?", "left", "open")), "a", "b",
        "neutral", "text", "label", "unit", "CC0-1.0", np.array([3, 999], np.int32), np.array([5, 0, 511], np.int32),
    )  # fmt: skip


@pytest.mark.parametrize("record", [full_record(), Record("only-id", text="some text")])
def test_schema_round_trip(record):
    schema = records.features()
    stored = schema.deserialize_example_np(schema.serialize_example(schema.encode_example(records.to_example(record))))
    back = records.from_example(stored)
    for field in dataclasses.fields(Record):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(record, field.name), err_msg=field.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study_id": ""}, "study_id is empty"),
        ({"views": ("frontal",)}, "views: 1 names for 2 images"),
        ({"images": (b"GIF89a", PNG)}, r"images\[0\] is neither PNG nor JPEG"),
        ({"modality": "x-ray"}, "modality 'x-ray' is not one of"),
        ({"labels": {"nodule": "yes"}}, r"labels\['nodule'\] is 'yes'"),
        ({"boxes": np.zeros((2, 3))}, r"expected \[N, 4\]"),
        ({"boxes": np.array([[0, 0, 1, 1.5]])}, "reach outside"),
        ({"boxes": np.array([[0.5, 0.2, 0.5, 0.9]])}, "boxes are empty"),
        ({"box_classes": ()}, "box_classes: 0 names for 1 boxes"),
        ({"mask_classes": ()}, "mask_classes: 0 names for 1 masks"),
        ({"image_codes": np.array([3, -1])}, "image_codes hold a number below 0"),
        ({"image_codes": np.array([0.5])}, r"image_codes are float64 of shape \(1,\), expected integers"),
        ({"images": (), "views": ()}, "image_codes: 2 codes for 0 pictures"),
        ({"masks": (PNG, PNG), "mask_classes": ("lung", "lung")}, "mask_codes: 3 codes for 2 pictures"),
        ({"qa": (Question(" ", "yes"),)}, r"qa\[0\] has an empty question"),
        ({"qa": (Question("q", "a", "maybe"),)}, r"qa\[0\].kind"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(UserError, match=message):
        records.check(dataclasses.replace(full_record(), **change))


def test_a_record_needs_content():
    assert records.problems(Record("s")) == ["neither an image nor any text"]
    assert records.check(full_record()).patient == "p1"
    assert Record("s", text="t").patient == "s"


def test_records_written_before_a_field_existed_are_read():
    example = records.to_example(full_record())
    old = {name: value for name, value in example.items() if name not in ("image_codes", "mask_codes")}
    old["labels"] = {key: [item[key] for item in example["labels"]] for key in ("name", "value")}
    old["qa"] = {key: [item[key] for item in example["qa"]] for key in ("question", "answer", "kind", "topic")}
    back = records.from_example(old)
    assert back.image_codes.shape == (0,) and back.findings == full_record().findings
