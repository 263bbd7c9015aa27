"""Pictures and native folders for the data set tests."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

UIDS = (1, 2, 3, 4, 5)
REPORT_HEADER = "uid,MeSH,Problems,image,indication,comparison,findings,impression"


def encoded(seed: int = 0, size: int = 24, suffix: str = ".png", dtype=np.uint8) -> bytes:
    """A small textured picture."""
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (size, size), dtype=dtype)
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.fixture
def picture():
    """Makes encoded images: picture(seed, size, suffix, dtype)."""
    return encoded


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets, or a skip."""
    if "UNIMEDVLP_DATA" not in os.environ:
        pytest.skip("needs real data: set UNIMEDVLP_DATA")
    return Path(os.environ["UNIMEDVLP_DATA"])


@pytest.fixture
def kaggle(tmp_path) -> Path:
    """Five studies of IU X-Ray as Kaggle ships them, with the quirks of the real files.

    1: lateral listed before frontal. 2: one image file missing. 3: NaN findings and XXXX. 4: no text. 5: no image.
    """
    source = tmp_path / "kaggle"
    images = source / "images" / "images_normalized"
    images.mkdir(parents=True)
    rows = [
        "1,normal,normal,Xray Chest PA and Lateral,Positive TB test,None.,Lungs are clear. caf\xe9,Normal chest x-XXXX.",
        '2,Cardiomegaly/borderline;Opacity/lung/base/left,Cardiomegaly;Opacity,"Chest, 2 views",,,"Big heart, opacity.",Cardiomegaly.',
        "3,No Indexing,No Indexing,Chest,XXXX,,NaN,No XXXX disease.",
        "4,normal,normal,Chest,cough,None.,,",
        "5,Pleural Effusion/left,Pleural Effusion,Chest,,,Left effusion.,Effusion.",
    ]
    (source / "indiana_reports.csv").write_bytes("\r\n".join([REPORT_HEADER, *rows, ""]).encode("latin-1"))
    names = [f"{uid}_IM-000{uid}-{number}.dcm.png" for uid in UIDS for number in (1001, 2001)]
    lines = ["projection,uid,filename"] + [
        f"{('Lateral', 'Frontal')[i % 2]},{name.split('_')[0]},{name}" for i, name in enumerate(names)
    ]
    (source / "indiana_projections.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    for i, name in enumerate(names):
        if not name.startswith("5") and name != "2_IM-0002-2001.dcm.png":
            (images / name).write_bytes(encoded(i))
    return source


@pytest.fixture
def openi(tmp_path) -> Path:
    """Two studies of IU X-Ray as Open-i ships them."""
    source = tmp_path / "openi"
    (source / "ecgen-radiology").mkdir(parents=True)
    (source / "NLMCXR_png").mkdir()
    for uid, tag in ((1, "normal"), (10, "Nodule/lung/upper lobe/right")):
        prefix = "CXR1_1" if uid == 1 else f"CXR{uid}"
        stems = [f"{prefix}_IM-000{uid}-{number}" for number in (1001, 2001)]
        parents = "".join(f'<parentImage id="{stem}"><caption>PA</caption></parentImage>' for stem in stems)
        (source / "ecgen-radiology" / f"{uid}.xml").write_text(
            f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation><uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>'
            '<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="INDICATION"/>'
            '<AbstractText Label="FINDINGS">Lungs\n   are clear.</AbstractText>'
            '<AbstractText Label="IMPRESSION">Normal.</AbstractText></Abstract></Article></MedlineCitation>'
            f"<MeSH><major>{tag}</major><automatic>lung</automatic></MeSH>{parents}</eCitation>"
        )
        for i, stem in enumerate(stems):
            (source / "NLMCXR_png" / f"{stem}.png").write_bytes(encoded(uid * 10 + i))
    return source


def question(qid: int, image: str, answer, **changes) -> dict:
    """One item as MEVF's files have it."""
    return {
        "qid": qid, "image_name": f"{image}.jpg", "image_organ": "CHEST", "answer": answer, "answer_type": "CLOSED",
        "question_type": "PRES", "question": f"Is there a finding, number {qid}?", "phrase_type": "freeform",
    } | changes  # fmt: skip


@pytest.fixture
def vqa(tmp_path) -> Path:
    """Thirty images, each with three training and one test question, and the quirks of the real files on the first."""
    source = tmp_path / "vqa"
    (source / "data_RAD" / "images").mkdir(parents=True)
    train, test = [], []
    for i in range(30):
        (source / "data_RAD" / "images" / f"synpic{i}.jpg").write_bytes(encoded(i, suffix=".jpg"))
        train += [question(4 * i + j, f"synpic{i}", "Yes") for j in range(3)]
        test.append(question(4 * i + 3, f"synpic{i}", "no", phrase_type="para"))
    train[0] |= {"answer": 3, "answer_type": "OPEN", "question_type": "COUNT", "image_organ": "HEAD"}
    train[1] |= {
        "answer": " Left lung ",
        "answer_type": "CLOSED ",
        "question_type": "ATRIB, PRSE",
        "image_organ": "HEAD",
    }
    train[2] |= {"answer": "", "image_organ": "HEAD"}
    (source / "data_RAD" / "trainset.json").write_text(json.dumps(train))
    (source / "data_RAD" / "testset.json").write_text(json.dumps(test))
    return source
