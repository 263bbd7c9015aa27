"""Split rules: stable, by patient, and honest about their lists."""

import json

import pytest

import data_pipelines.protocols as protocols
from data_pipelines.protocols import Protocol, by_id_suffix, by_ids, by_patient, checksum, label_fractions, share
from unimedvlp.errors import UserError
from unimedvlp.records import Record


def test_share_is_fixed_for_good():
    assert share("p00001", 0) == 0.8757080001441935
    assert 0 <= share("anything", 5) < 1 and share("a", 0) != share("a", 1)


def test_patients_stay_together_in_the_asked_shares():
    rule = by_patient(0, (0.7, 0.1, 0.2))
    splits = [rule(Record(f"s{i}", patient_id=f"p{i // 2}")) for i in range(4000)]
    assert splits[0::2] == splits[1::2]
    assert abs(splits.count("train") / 4000 - 0.7) < 0.03 and abs(splits.count("test") / 4000 - 0.2) < 0.03
    assert rule(Record("s1")) == rule(Record("x", patient_id="s1"))  # no patient named: the study is the unit


def test_id_suffix():
    assert by_id_suffix(Record("synpic1/validation")) == "validation"


def test_r2gen_has_its_published_sizes_and_ids():
    rule = by_ids("iu_xray_r2gen")
    splits = [rule(Record(f"CXR{uid}")) for uid in range(1, 4000)]
    assert [splits.count(name) for name in ("train", "validation", "test")] == [2069, 296, 590]
    assert rule(Record("CXR2384")) == "train" and rule(Record("CXR4000")) is None


@pytest.mark.parametrize(
    ("splits", "total", "message"),
    [
        ({"train": ["a"], "test": ["a"]}, None, "study a is in both train and test"),
        ({"train": ["a"], "test": ["b"]}, "0" * 64, "checksum"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, monkeypatch, splits, total, message):
    monkeypatch.setattr(protocols, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "mine.json").write_text(json.dumps({"checksum": total or checksum(splits), "splits": splits}))
    with pytest.raises(UserError, match=message):
        by_ids("mine")


def test_lists_are_read_from_the_source(tmp_path):
    (tmp_path / "test.txt").write_text("a\n")
    protocol = Protocol(None, "a test", lists=lambda source: {"test": (source / "test.txt").read_text().split()})
    place = protocol.bind(tmp_path)
    assert place(Record("a")) == "test" and place(Record("b")) is None


def test_label_fractions_keep_whole_patients_and_all_test_records(tmp_path):
    whole = Protocol(by_patient(0), "a test", expected={"train": 1600, "test": 200})
    protocols = label_fractions("official", whole)
    assert list(protocols) == ["official", *(f"official-{n}pct{s}" for s in ("", "-seed1", "-seed2") for n in (10, 1))]
    records = [Record(f"s{i}", patient_id=f"p{i // 2}") for i in range(20000)]
    places = {name: [*map(protocol.bind(tmp_path), records)] for name, protocol in protocols.items()}
    for name, portion in (("official-10pct", 0.1), ("official-1pct-seed2", 0.01)):
        kept = places[name].count("train") / places["official"].count("train")
        assert abs(kept - portion) < 0.2 * portion and places[name][0::2] == places[name][1::2]
        assert protocols[name].expected == {"test": 200}
        assert all(a == b for a, b in zip(places[name], places["official"], strict=True) if b != "train")
    small, large = ({i for i, split in enumerate(places[f"official-{n}pct"]) if split == "train"} for n in (1, 10))
    assert small < large and places["official-10pct"] != places["official-10pct-seed1"]


def test_checksum_ignores_order():
    assert checksum({"train": ["b", "a"], "test": []}) == checksum({"test": [], "train": ["a", "b"]})
    assert checksum({"train": ["a"]}) != checksum({"test": ["a"]})
