"""Splits that folders, lists and draws decide."""

import pytest

from data_pipelines.protocols import Protocol
from data_pipelines.protocols.native import by_folder, drawn, listed, own_lists, stem, without_suffix
from unimedvlp.errors import UserError
from unimedvlp.records import Record


@pytest.mark.parametrize(
    ("study", "split"),
    [
        ("train/a", "train"),
        ("valid/p/a", "validation"),
        ("images/test/a", "test"),
        ("Train/test/a", "train"),
        ("a", None),
        ("train", None),
        ("other/a", None),
    ],
)
def test_first_folder_that_names_a_split(study, split):
    assert by_folder()(Record(study)) == split


def test_held_out_patients_and_renamed_folders():
    rule = by_folder(0.25, dev="test")
    splits = [rule(Record(f"train/{i}/{view}", patient_id=f"p{i}")) for i in range(2000) for view in "ab"]
    assert splits[0::2] == splits[1::2] and set(splits) == {"train", "validation"}
    assert abs(splits.count("validation") / 4000 - 0.25) < 0.03
    assert rule(Record("dev/1")) == rule(Record("test/1")) == "test"


def test_names_in_lists():
    assert stem("stage_2_train_images/0004cfab.dcm") == "0004cfab"
    assert without_suffix("1.2.276.0.7230010.52957") == "1.2.276.0.7230010.52957"
    assert without_suffix("train/patient1/view1_frontal.JPG") == "train/patient1/view1_frontal"


def test_lists_of_every_form(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf00000001_000.png 0 1 0\r\n\r\nfolder/b.dcm,1\r\n1.2.3.4\n")
    assert listed(path) == ["00000001_000", "b", "1.2.3.4"]
    path.write_text("\n \n")
    with pytest.raises(UserError, match=r"a.txt is empty"):
        listed(path)


def test_own_lists(tmp_path):
    protocol = own_lists()
    with pytest.raises(UserError, match=r"expected splits/train.txt, and val.txt"):
        protocol.bind(tmp_path)
    (tmp_path / "splits").mkdir()
    for name, ids in (("train_list", "a b"), ("val", "c"), ("test_list", "d"), ("test", "e")):
        (tmp_path / f"splits/{name}.txt").write_text("\n".join(f"{i}.png" for i in ids.split()))
    place = protocol.bind(tmp_path)
    assert [place(Record(study)) for study in "abcdef"] == ["train", "train", "validation", None, "test", None]


def test_a_draw_is_the_same_in_any_order_and_needs_enough():
    ids = [f"p{i}" for i in range(40)]
    first = drawn(ids, 0.3, 0)
    assert first == drawn(ids[::-1] + ids[:5], 0.3, 0) != drawn(ids, 0.3, 1)
    assert [len(first[split]) for split in ("train", "validation", "test")] == [28, 6, 6]
    with pytest.raises(UserError, match="needs more than 40 studies; the table lists 40"):
        drawn(ids, 40, 0)


def test_label_fractions_of_lists(tmp_path):
    ids = [f"p{i}" for i in range(1000)]
    full = Protocol(None, "a test", lists=lambda source: drawn(ids, 0.3, 0))
    tenth = Protocol(None, "a test", lists=full.lists, fraction=0.1)
    found = [[protocol.bind(tmp_path)(Record(study)) for study in ids] for protocol in (full, tenth)]
    assert [splits.count("test") for splits in found] == [150, 150] and 40 < found[1].count("train") < 100
    assert all(few in (None, many) for many, few in zip(*found, strict=True))
