"""The same builders on Apache Beam's local runner: equal output, and the same errors."""

import dataclasses

import pytest

pytest.importorskip("apache_beam")

from data_pipelines import datasets, on_beam
from data_pipelines.builder import folder_of, prepare
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.shards import Shard
from data_pipelines.summary import Entry, Ledger, SetAside, Summary
from unimedvlp.errors import UserError


def contents(builder, out, protocol):
    folder = folder_of(builder, out, protocol)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def both(builder, source, out, protocol="", **options):
    summary = prepare(builder, source, out / "plain", protocol, **options)
    prepare(builder, source, out / "beam", protocol, runner="direct", **options)
    return contents(builder, out / "plain", summary.protocol), contents(builder, out / "beam", summary.protocol)


@pytest.mark.parametrize("limit", [None, 33])
def test_output_equals_a_plain_run(tmp_path, limit):
    plain, beam = both(Synthetic(studies=60, size=48), None, tmp_path, shard_mb=0.1, limit=limit)
    assert plain == beam and sum("array_record" in name for name in plain) > 3


def test_a_data_set_with_things_to_set_aside(tmp_path, kaggle):
    plain, beam = both(datasets.builder("iu_xray")(), kaggle, tmp_path, "random-70-10-20", resize=8)
    assert plain == beam and len(plain["set_aside.csv"].splitlines()) > 2


def test_an_error_of_the_source_is_one_line_and_leaves_nothing(tmp_path, vqa):
    builder = datasets.builder("vqa_rad")()
    (vqa / "data_RAD/testset.json").write_text("{")
    with pytest.raises(UserError, match=r"testset.json is not JSON"):
        prepare(builder, vqa, tmp_path, runner="direct")
    assert not [path for path in tmp_path.rglob("*.array_record*")]


def entry(split, study, patient):
    return Entry(split, study, patient, "", {"images": 0}, ("text",), ())


def ledger(leaks=""):
    return Ledger(Summary("toy", "p", "", "1.0.0", "", {}, leaks=leaks))


def test_the_plan_follows_the_items_not_their_arrival():
    a, b, c = entry("train", "a", "p"), entry("train", "b", "p"), entry("test", "c", "q")
    arrived = [(2, [(c, 5)]), (0, [(a, 60)]), (3, [(dataclasses.replace(a, source="again"), 60)]), (1, [(b, 60)])]
    plan = on_beam.make_plan(arrived, ledger(), None, 100)
    assert plan.shards == {
        (0, 0): Shard("train", 0, 1, 60),
        (1, 0): Shard("train", 1, 1, 60),
        (2, 0): Shard("test", 0, 1, 5),
    }
    assert plan.items[3] == (3, [SetAside("a", "a second record with this study_id", "again")])
    limited = on_beam.make_plan(arrived, ledger(), 2, 100)
    assert [number for number, _ in limited.items] == [0, 1]


def test_errors_count_in_the_order_of_the_items():
    good, leak = entry("train", "a", "p"), entry("test", "b", "p")
    assert "patient 'p' is in both" in on_beam.make_plan([(1, [(leak, 1)]), (0, [(good, 1)])], ledger(), None, 9).error
    assert on_beam.make_plan([(1, "row 1 is broken"), (0, [(good, 1)])], ledger(), None, 9).error == "row 1 is broken"
    assert not on_beam.make_plan([(1, "row 1 is broken"), (0, [(good, 1)])], ledger(), 1, 9).error
