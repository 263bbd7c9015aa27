"""SLAKE: languages, masks, and the two splits that do not agree."""

import cv2
import numpy as np
import pytest
from bad_input_text import JSON, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.slake import Slake
from data_pipelines.images import decode
from data_pipelines.work import expand
from unimedvlp.errors import UserError
from unimedvlp.records import Question

FILES = {"train": "train.json", "validate": "validate.json", "test": "test.json"}


def item(qid, image, **changes):
    return {
        "img_id": image, "img_name": f"xmlab{image}/source.jpg", "question": f"Does the picture contain café {qid}?",
        "answer": "Yes", "q_lang": "en", "location": "Abdomen", "modality": "MRI", "answer_type": "CLOSED ",
        "base_type": "vqa", "content_type": "Organ", "triple": ["vhead", "_", "_"], "qid": qid,
    } | changes  # fmt: skip


def write(source, chinese=True):
    root = source / "Slake1.0"
    for i, name in enumerate(FILES.values()):
        rows = [item(10 * i + k, 2 * i + k % 2) for k in range(3)]
        if chinese:  # these questions are about images of another split of the English ones
            rows += [item(10 * i + 5, 2 * ((i + 1) % 3), question="图像中有肝脏吗?", answer="有", q_lang="zh")]
        save(root / name, JSON.dump(rows))
    for image in range(6):
        save(root / "imgs" / f"xmlab{image}" / "source.jpg", jpeg(image))
        mask = np.zeros((24, 24), np.uint8)
        mask[:8], mask[10:, 5:] = 1, 3
        save(root / "imgs" / f"xmlab{image}" / "mask.png", cv2.imencode(".png", mask)[1].tobytes())
    save(root / "mask.txt", "1:Liver\n2:Left Lung\n3:Café Kidney\n\n")


FILE = File(JSON, "answer", "qid", ("img_name", "question"))
LAYOUT = Layout(
    Slake(),
    "official",
    lambda source: write(source, chinese=False),
    {f"Slake1.0/{name}": FILE for name in FILES.values()},
    image="Slake1.0/imgs/xmlab0/source.jpg",
)
test_bad_input = bad_input(LAYOUT)


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(Slake(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: [r.study_id for r in records] for split, records in splits.items()} == {
        "train": ["xmlab0/train", "xmlab1/train"],
        "validation": ["xmlab2/validation", "xmlab3/validation"],
        "test": ["xmlab4/test", "xmlab5/test"],
    }
    record = splits["train"][0]
    assert (
        record.qa[0] == Question("Does the picture contain café 0?", "Yes", "closed", "organ") and len(record.qa) == 2
    )
    assert (record.modality, record.body_part, record.patient_id) == ("mr", "abdomen", "xmlab0")
    assert record.mask_classes == ("liver", "café kidney")
    liver, kidney = (decode(mask, channels=1)[..., 0] for mask in record.masks)
    assert (liver[:8] == 255).all() and not liver[8:].any() and (kidney > 0).sum() == 14 * 19


def test_languages(tmp_path):
    write(tmp_path / "source")
    chinese = everything(Slake(), tmp_path / "source", tmp_path / "out", "official-zh")
    assert [chinese[split][0].study_id for split in chinese] == ["xmlab2/train", "xmlab4/validation", "xmlab0/test"]
    assert chinese["train"][0].qa == (Question("图像中有肝脏吗?", "有", "closed", "organ"),)
    both = prepare(Slake(), tmp_path / "source", tmp_path / "out", "official-both")
    assert both.leaks and both.shared_images and both.splits["train"]["questions"] == 4
    disjoint = prepare(Slake(), tmp_path / "source", tmp_path / "out", "image-disjoint")
    assert disjoint.shared_images == 0 and sum(counts["images"] for counts in disjoint.splits.values()) == 6


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("imgs/xmlab0/mask.png", None, "mask file missing"),
        ("imgs/xmlab0/mask.png", b"\x89PNG\r\n\x1a\nbroken", "unreadable mask"),
        ("mask.txt", "1:Liver\n", "a mask's class is not in mask.txt"),
        ("mask.txt", None, "a mask's class is not in mask.txt"),
    ],
)
def test_masks_that_cannot_be_used_are_counted(tmp_path, name, content, reason):
    write(tmp_path / "source")
    path = tmp_path / "source" / "Slake1.0" / name
    path.unlink() if content is None else save(path, content)
    summary = prepare(Slake(), tmp_path / "source", tmp_path / "out", "official")
    assert [key for key in summary.set_aside if key.startswith(reason)] and summary.splits["train"]["records"] == 2


def test_a_broken_list_of_classes_is_named(tmp_path):
    write(tmp_path)
    save(tmp_path / "Slake1.0" / "mask.txt", "1:Liver\nLung\n")
    with pytest.raises(UserError, match=r"mask.txt: line 2 is not NUMBER:CLASS: 'Lung'"):
        list(expand(Slake().records(tmp_path, "official")))


def test_other_names(tmp_path):
    write(tmp_path)
    (tmp_path / "Slake1.0" / "validate.json").rename(tmp_path / "Slake1.0" / "validation.json")
    assert len(list(expand(Slake().records(tmp_path / "Slake1.0", "official")))) == 6
