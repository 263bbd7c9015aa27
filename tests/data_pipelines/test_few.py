"""Few-shot subsets: size, balance, seeds."""

import pytest

from data_pipelines.few import Few, balanced
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record

CLASSES = [{"common"}] * 20 + [{"rare"}] * 3 + [{"common", "rare"}] + [set()] * 6


def test_classes_take_turns():
    chosen = balanced(CLASSES, 9, seed=0)
    assert len(set(chosen)) == 9 and chosen == sorted(chosen)
    counts = {name: sum(name in CLASSES[i] for i in chosen) for name in ("common", "rare")}
    assert counts["rare"] >= 3 and counts["common"] >= 3 and sum(not CLASSES[i] for i in chosen) == 3


def test_a_seed_repeats_and_another_differs():
    assert balanced(CLASSES, 8, seed=1) == balanced(CLASSES, 8, seed=1) != balanced(CLASSES, 8, seed=2)
    assert balanced(CLASSES, len(CLASSES), seed=3) == list(range(len(CLASSES)))


def test_records_by_what_they_show():
    source = [Record(str(i), text="t", labels={"flu": POSITIVE if i % 2 else NEGATIVE}) for i in range(10)]
    few = Few(source, 4, seed=0)
    assert [record.labels["flu"] for record in few].count(POSITIVE) == 2
    with pytest.raises(UserError, match="11 records asked for"):
        Few(source, 11)
