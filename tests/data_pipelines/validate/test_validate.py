"""Faults put into a prepared folder one by one: each is found, at its level, in its split and field."""

import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from data_pipelines.shards import ShardWriter, serialise
from data_pipelines.summary import Summary
from data_pipelines.validate import prepared_folders, validate
from data_pipelines.validate.gallery import Gallery
from data_pipelines.validate.problems import EXAMPLES, Problems, by_kind
from launch.main import main
from launch.validation_page import page
from unimedvlp.errors import UserError
from unimedvlp.records import POSITIVE, Question, Record


def png(seed: int, height: int = 24, width: int = 24) -> bytes:
    return cv2.imencode(".png", np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8))[
        1
    ].tobytes()


def mask(height: int, width: int, inside: int = 1) -> bytes:
    return cv2.imencode(".png", np.full((height, width), inside, np.uint8))[1].tobytes()


def study(name: str, seed: int = 0, **fields) -> Record:
    return Record(name, images=(png(seed),), views=("frontal",), **fields)


def write(folder, records: dict[str, list[Record]], **about):
    """A prepared folder that holds whatever it is given, sound or not."""
    folder.mkdir(parents=True)
    writer = ShardWriter(folder, 2**20, [], lambda shard: None)
    splits = {}
    for split, items in records.items():
        for record in items:
            writer.add(split, serialise(record))
        counts = {"images": "images", "questions": "qa", "boxes": "boxes"}
        splits[split] = {key: sum(len(getattr(item, field)) for item in items) for key, field in counts.items()}
        splits[split] |= {"records": len(items), "patients": len({item.patient for item in items}), "fields": {}}
    writer.close("toy", "official", "1.0.0", "a test", "CC0-1.0")
    Summary("toy", "official", "a test", "1.0.0", "CC0-1.0", {}, splits=splits, **about).save(folder)
    return folder


def found(folder) -> set[tuple[str, str, str, str]]:
    return {(p.level, p.message, p.split, p.field) for p in validate(folder).problems}


def turned() -> bytes:
    """A JPEG that says: turn me by 90 degrees."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(5).integers(0, 255, (12, 24), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def box(*corners) -> dict:
    return {"boxes": np.array([corners], np.float32), "box_classes": ("mass",)}


FAULTS = {
    "unreadable": (Record("a", images=(png(1)[:200],), views=("",)), "error", "unreadable image", "images"),
    "turned": (
        Record("a", images=(turned(),), views=("",), masks=(mask(12, 24),), mask_classes=("lung",)),
        "warning", "image that viewers turn by its EXIF tag", "images",
    ),
    "constant": (Record("a", images=(mask(9, 9),), views=("",)), "warning", "image of one colour", "images"),
    "outside": (study("a", **box(0, 0, 1.2, 1)), "error", "not a sound record", "boxes"),
    "nowhere": (study("a", **box(np.nan, 0, 1, 1)), "error", "not a sound record", "boxes"),
    "no name": (study("a", boxes=np.array([[0, 0, 1, 1]], np.float32)), "error", "not a sound record", "box_classes"),
    "no area": (study("a", **box(0.5, 0.1, 0.5, 0.9)), "error", "not a sound record", "boxes"),
    "thin": (study("a", **box(0.5, 0.1, 0.51, 0.9)), "warning", "box thinner than a pixel", "boxes"),
    "twice": (
        study("a", boxes=np.array([[0, 0, 0.5, 0.5]] * 2, np.float32), box_classes=("mass", "mass")),
        "warning", "box given twice", "boxes",
    ),
    "no image": (Record("a", text="words", **box(0, 0, 1, 1)), "error", "boxes without an image", "boxes"),
    "mask shape": (study("a", masks=(mask(24, 12),), mask_classes=("lung",)), "error", "mask of another shape than its image", "masks"),
    "mask empty": (study("a", masks=(mask(24, 24, 0),), mask_classes=("lung",)), "error", "empty mask", "masks"),
    "mask broken": (study("a", masks=(png(1)[:150],), mask_classes=("lung",)), "error", "unreadable mask", "masks"),
    "mask alone": (Record("a", text="words", masks=(mask(4, 4),), mask_classes=("lung",)), "error", "mask without an image", "masks"),
    "label": (study("a", labels={"mass": "maybe"}), "error", "not a sound record", "labels"),
    "answer": (study("a", qa=(Question("why?", " "),)), "error", "not a sound record", "qa"),
    "wordless": (study("a", findings=" -- "), "warning", "text without a word", "findings"),
    "date": (study("a", findings="Compared with 03/14/2019."), "warning", "looks like a date", "findings"),
    "mojibake": (study("a", caption="caf\u00c3\u00a9"), "warning", "damaged encoding", "caption"),
    "blanks": (study("a", impression="Normal XXXX."), "note", "texts with blanks of de-identification (XXXX, ___)", "impression"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_where_it_is(kind, tmp_path):
    record, level, message, field = FAULTS[kind]
    folder = write(tmp_path / "set", {"train": [study("sound", 90, findings="Clear.")], "test": [record]})
    assert (level, message, "test", field) in found(folder)
    assert all(split == "test" and place.startswith(field) for _, _, split, place in found(folder))


@pytest.mark.parametrize("kind", FAULTS)
def test_the_page_of_a_faulty_set_is_drawn(kind, tmp_path):
    folder = write(tmp_path / "set", {"test": [FAULTS[kind][0]]})
    written = page(validate(folder)).html()
    assert "Samples of test" in written and FAULTS[kind][2].replace("_", " ") in written.replace("_", " ")


def test_a_sound_set_has_no_problem(tmp_path):
    smaller = study(
        "a", 1, masks=(mask(12, 12),), mask_classes=("lung",), labels={"mass": POSITIVE}, **box(0.1, 0.2, 0.5, 0.6)
    )
    folder = write(
        tmp_path / "set", {"train": [smaller], "test": [study("b", 2, findings="Clear.")]}, expected={"train": 1}
    )
    validation = validate(folder)
    assert validation.problems == [] and validation.errors == 0 and validation.duplicates == []


SHARED = {"train": [study("a", 1), study("b", 2)], "test": [study("c", 1), study("a", 3)]}


@pytest.mark.parametrize(("leaks", "level"), [("", "error"), ("published so", "warning")])
def test_sharing_is_an_error_unless_the_protocol_says_so(leaks, level, tmp_path):
    assert found(write(tmp_path / "set", SHARED, leaks=leaks)) == {
        ("error", "study id that occurs twice", "test", "study_id"),
        (level, "patient in more than one split", "", "patient_id"),
        (level, "equal images in more than one split", "", "images"),
    }


def test_copies_in_one_split_and_equal_texts_are_told(tmp_path):
    texts = [Record(name, text=" The  words\nare EQUAL.") for name in "xyz"]
    folder = write(tmp_path / "set", {"train": [study("a", 1), study("b", 1), texts[0]], "test": [texts[1], texts[2]]})
    assert found(folder) == {
        ("warning", "equal images", "train", "images"),
        ("warning", "equal texts in more than one split", "", "text"),
    }


def test_texts_in_another_language_are_found_by_what_most_are(tmp_path):
    english = [
        study(f"e{i}", i, findings="The heart is normal and there are no effusions in the chest.") for i in range(3)
    ]
    german = study("g", 9, findings="Das Herz ist nicht vergr\u00f6\u00dfert und es besteht kein Erguss mit Stauung.")
    assert found(write(tmp_path / "set", {"train": english, "test": [german]})) == {
        ("warning", "looks like German, most are English", "test", "findings")
    }


def test_counts_are_compared(tmp_path):
    folder = write(tmp_path / "set", {"train": [study("a", 1)]}, expected={"train": 5, "test": 1})
    assert {(level, message) for level, message, _, _ in found(folder)} == {
        ("warning", "1 records, the protocol should give 5"),
        ("warning", "0 records, the protocol should give 1"),
    }
    summary = json.loads((folder / "summary.json").read_text())
    summary["splits"]["train"]["images"], summary["limit"] = 7, 1
    (folder / "summary.json").write_text(json.dumps(summary))
    assert {message for _, message, _, _ in found(folder)} == {
        "1 images, prepare wrote 7",
        "made with --limit 1: expected counts not compared",
    }
    (folder / "summary.json").unlink()
    assert {level for level, _, _, _ in found(folder)} == {"note"}


def test_contents_and_json(tmp_path):
    record = study(
        "a", 1, labels={"mass": POSITIVE}, findings="Two words", qa=(Question("why?", "so"),), **box(0, 0, 1, 1)
    )
    content = validate(write(tmp_path / "set", {"test": [record]})).as_dict()
    split = json.loads(json.dumps(content))["splits"]["test"]
    assert split["labels"] == {"mass": {"negative": 0, "positive": 1, "uncertain": 0}}
    assert (split["records"], split["patients"], split["questions"], split["boxes"], split["words"]["findings"]) == (
        1,
        1,
        1,
        1,
        2,
    )
    assert split["sizes"] == {"24 x 24": 1} and split["box_classes"] == {"mass": 1} and split["fields"]["qa"] == 1


def test_the_gallery_shows_everything_once():
    gallery = Gallery()
    for i in range(200):
        fields = {"labels": {"rare": POSITIVE}} if i == 150 else {"caption": "x"} if i == 60 else {}
        gallery.add("train", i, Record(str(i), text="x", **fields))
    gallery.add("test", 0, Record("t", text="x"))
    chosen = gallery.chosen()
    assert {("train", 0), ("train", 60), ("train", 150), ("test", 0)} <= set(chosen) and len(chosen) <= 8
    assert chosen == sorted(chosen, key=lambda place: (place[0] != "train", place[1]))


def test_problems_are_counted_together():
    problems = Problems()
    for i in range(9):
        problems.add("warning", "odd", "train" if i else "test", "text", f"s{i}")
    problems.add("error", "bad")
    assert [p.message for p in problems.sorted()] == ["bad", "odd", "odd"] and len(
        problems.sorted()[2].examples
    ) == EXAMPLES
    kind, counts = by_kind(problems.sorted())[1]
    assert (kind.count, counts, len(kind.examples)) == (9, {"test": 1, "train": 8}, EXAMPLES)


def test_the_command(tmp_path, capsys):
    write(tmp_path / "data/good/official/1.0.0", {"train": [study("a", 1)], "test": [study("b", 2)]})
    assert main(["validate", str(tmp_path / "data")]) == 0
    assert "Nothing to report." in capsys.readouterr().out
    assert (tmp_path / "data/good/official/1.0.0/validation/index.html").is_file()
    write(tmp_path / "data/shared/official/1.0.0", SHARED)
    assert main(["validate", str(tmp_path / "data"), "--json", "--pages", str(tmp_path / "pages")]) == 1
    good, shared = json.loads(capsys.readouterr().out)
    assert good["errors"] == 0 and shared["errors"] == 3 and len(prepared_folders(tmp_path)) == 2
    text = (tmp_path / "pages" / "toy-official-1.0.0.html").read_text()
    assert text.count("<article") >= 3 and 'src="http' not in text and "<script" not in text
    assert main(["validate", str(tmp_path / "data"), "--pages", str(tmp_path / "pages/toy-official-1.0.0.html")]) == 2
    assert "choose a folder with --pages" in capsys.readouterr().err
    assert main(["validate", str(tmp_path / "pages")]) == 2 and "holds no prepared data set" in capsys.readouterr().err
    with pytest.raises(UserError, match="no prepared data set"):
        validate(tmp_path)


def test_a_set_of_tfds_that_prepare_did_not_write_is_refused(tmp_path):
    folder = write(tmp_path / "set", {"test": [study("a", 1)]})
    content = json.loads((folder / "features.json").read_text())
    content["featuresDict"]["features"].pop("study_id")
    (folder / "features.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="`prepare` did not write"):
        validate(folder)
