"""The phantom: deterministic, and every annotation true of the drawing."""

import hashlib

import cv2
import numpy as np
import pytest

from data_pipelines.synthetic import studies, study
from data_pipelines.synthetic.words import CHEST, EYE, HEAD
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, problems

DIALECTS = {"xray": CHEST, "ct": HEAD, "fundus": EYE}


@pytest.fixture(scope="module")
def some():
    return list(studies(150, seed=3, size=64))


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def digest(record) -> str:
    drawn = b"".join(pixels(data).tobytes() for data in record.images + record.masks)
    return hashlib.sha256(
        drawn + repr((record.findings, record.impression, record.qa, record.labels)).encode()
    ).hexdigest()


def test_study_seven_is_the_same_for_every_count():
    assert digest(list(studies(8))[7]) == digest(list(studies(20))[7])
    assert digest(list(studies(8))[7]) != digest(list(studies(8, seed=1))[7])


def test_a_follow_up_keeps_the_anatomy_and_changes_the_study(some):
    again = next(record for record in some if record.study_id.endswith("v1"))
    first = next(record for record in some if record.study_id == again.patient_id + "-v0")
    assert first.modality == again.modality and first.images[0] != again.images[0]
    assert digest(study(int(again.patient_id[1:]), 1, 3, 64)) == digest(again)


def test_records_are_sound_and_of_three_modalities(some):
    assert [found for record in some for found in problems(record)] == []
    assert {record.modality for record in some} == {"xray", "ct", "fundus"}
    assert all(record.views == ("frontal", "lateral") for record in some if record.modality == "xray")
    assert len({record.study_id for record in some}) == len(some)


def test_images_are_pictures_of_the_asked_size(some):
    for record in some[:30]:
        for data in record.images:
            image = pixels(data)
            assert image.shape == (64, 64) and image.dtype == np.uint8
            assert image.std() > 20


def test_boxes_are_the_tightest_around_their_masks(some):
    for record in some:
        lesions = [(n, pixels(m)) for n, m in zip(record.mask_classes, record.masks, strict=True)][-len(record.boxes) :]
        if not len(record.boxes):
            continue
        assert tuple(name for name, _ in lesions) == record.box_classes
        for (_, mask), (ymin, xmin, ymax, xmax) in zip(lesions, record.boxes, strict=True):
            inside = cv2.boundingRect(mask)  # x, y, width, height
            np.testing.assert_allclose(np.array([xmin, ymin, xmax - xmin, ymax - ymin]) * 64, inside, atol=1e-4)


def test_lesions_change_the_picture_where_their_mask_is():
    """A certain nodule is brighter than the ring around it."""
    seen = 0
    for record in studies(60, seed=5, size=128):
        if record.box_classes == ("lung lesion",) and record.labels["lung lesion"] == POSITIVE:
            image = cv2.GaussianBlur(pixels(record.images[0]).astype(np.float32), (0, 0), 1)
            mask = pixels(record.masks[-1]) > 0
            ring = (cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0) & ~mask
            assert image[mask].mean() > image[ring].mean() + 8
            seen += 1
    assert seen >= 3


def test_labels_agree_with_drawing_and_report(some):
    for record in some:
        dialect = DIALECTS[record.modality]
        drawn = set(record.box_classes)
        assert {name for name, value in record.labels.items() if value in (POSITIVE, UNCERTAIN)} == drawn
        for name in dialect.noun:
            said_absent = any(sentence in record.findings for sentence in dialect.absent[name])
            assert said_absent == (record.labels.get(name) == NEGATIVE)
            said_present = dialect.noun[name] in record.impression.lower()
            assert said_present == (name in drawn), record.impression
        assert record.text_label == ("abnormal" if drawn else "normal")


def test_sides_in_the_report_are_the_sides_of_the_picture(some):
    """The patient's left is on the viewer's right."""
    checked = 0
    for record in some:
        one = len(record.boxes) == 1 and record.box_classes[0] in (
            "pleural effusion",
            "pneumothorax",
            "consolidation",
            "hemorrhage",
        )
        if one:
            middle = (record.boxes[0, 1] + record.boxes[0, 3]) / 2
            assert (" left " in record.impression.lower().replace("a ", " ")) == (middle > 0.5)
            checked += 1
    assert checked > 10


def test_answers_are_true(some):
    for record in some:
        nodules = record.box_classes.count("lung lesion")
        for item in record.qa:
            if item.topic == "count":
                assert item.answer == str(nodules)
            if item.topic == "presence":
                noun = next(noun for noun in DIALECTS[record.modality].noun.values() if noun in item.question)
                name = next(n for n, word in DIALECTS[record.modality].noun.items() if word == noun)
                assert (item.answer == "yes") == (record.labels.get(name) == POSITIVE)
            assert (item.kind == "closed") == (item.answer in ("yes", "no"))


def test_some_findings_go_unmentioned_and_some_are_doubtful(some):
    chest = [record for record in some if record.modality == "xray"]
    assert any(len(record.labels) < 5 for record in chest)
    assert any(UNCERTAIN in record.labels.values() for record in some)
    assert {record.relation for record in some} >= {"entailment", "contradiction", "neutral"}


def test_relations_follow_from_the_premise(some):
    for record in some:
        if record.relation == "neutral" or not record.relation:
            continue
        denied = any(record.premise in sentences for sentences in DIALECTS[record.modality].absent.values())
        claims_absence = "has no " in record.hypothesis
        assert (denied == claims_absence) == (record.relation == "entailment")
