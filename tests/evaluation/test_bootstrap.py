import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.evaluation import bootstrap


def test_intervals_of_a_mean_cover_the_truth():
    """95 % intervals of the mean of 80 exponential draws hold the true mean in about 95 % of 300 experiments."""
    rng = np.random.default_rng(0)
    held = 0
    for experiment in range(300):
        value = bootstrap.means({"x": rng.exponential(2.0, 80)}).values(400, seed=experiment)["x"]
        held += value.low <= 2.0 <= value.high
    assert 0.90 <= held / 300 <= 0.98


def test_interval_has_the_width_of_the_normal_one():
    x = np.random.default_rng(0).normal(1.0, 3.0, 900)
    value = bootstrap.means({"x": x}).values(4000)["x"]
    assert value.value == pytest.approx(x.mean())
    assert value.high - value.low == pytest.approx(2 * 1.96 * x.std() / 30, rel=0.06)
    assert value.count == 900


def test_same_seed_same_interval_and_other_seed_another():
    metric = bootstrap.means({"x": np.arange(50.0)})
    assert metric.values(seed=1) == metric.values(seed=1) != metric.values(seed=2)


def test_nan_samples_do_not_count():
    value = bootstrap.means({"x": [1.0, np.nan, 3.0], "y": [np.nan] * 3}).values()
    assert (value["x"].value, value["x"].count) == (2.0, 2)
    assert np.isnan(value["y"].value) and np.isnan(value["y"].low) and value["y"].count == 0


def test_groups_widen_the_interval_of_dependent_samples():
    """Ten copies of each of 30 values say no more than the 30 values."""
    x = np.random.default_rng(0).normal(size=30)
    copies, groups = np.repeat(x, 10), np.repeat(np.arange(30), 10)

    def width(metric):
        value = metric.values(4000)["x"]
        return value.high - value.low

    alone = width(bootstrap.means({"x": x}))
    assert width(bootstrap.means({"x": copies}, groups)) == pytest.approx(alone, rel=0.05)
    assert width(bootstrap.means({"x": copies})) < 0.5 * alone


def test_text_groups_are_accepted():
    assert bootstrap.means({"x": [1.0, 2.0]}, np.array(["a.png", "b.png"])).values(10)["x"].value == 1.5


def test_paired_difference_is_narrow_where_errors_are_shared():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=400)
    better, worse = bootstrap.means({"x": hard + 0.1}), bootstrap.means({"x": hard + rng.normal(0, 0.01, 400)})
    value = better.difference(worse)["x"]
    assert value.low > 0.09 and value.high < 0.11
    same = better.difference(better)["x"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_difference_of_other_samples_is_refused():
    with pytest.raises(UserError, match="same samples"):
        bootstrap.means({"x": [1.0]}).difference(bootstrap.means({"x": [1.0, 2.0]}))


def test_totals_score_sums():
    statistics = np.array([[1.0, 2.0], [3.0, 4.0]])
    metric = bootstrap.totals(statistics, lambda sums: {"ratio": sums[:, 0] / sums[:, 1]})
    assert metric.point()["ratio"] == pytest.approx(4 / 6)
    assert metric.resampled(50)["ratio"].shape == (50,)


def test_chunks_do_not_change_the_result(monkeypatch):
    metric = bootstrap.means({"x": np.arange(20.0)})
    whole = metric.resampled(30)["x"]
    monkeypatch.setattr(bootstrap, "CHUNK", 100)
    np.testing.assert_array_equal(metric.resampled(30)["x"], whole)


@pytest.mark.parametrize("columns", [{"x": []}, {"x": [1.0], "y": [1.0, 2.0]}])
def test_uneven_or_empty_columns_are_refused(columns):
    with pytest.raises(UserError, match="same number of samples"):
        bootstrap.means(columns)
    with pytest.raises(UserError):
        bootstrap.totals(np.zeros((0, 2)), dict)


def test_only_whole_numbers_are_counts():
    assert bootstrap.Value(12.0, 12.0, 12.0, 9).text() == "12"
    one_mask = bootstrap.Value(14.98, 14.98, 14.98, 1)  # a distance in pixels
    assert one_mask.text() == "14.980 [14.980, 14.980]"
    assert bootstrap.Value(1.0, 1.0, 1.0, 9).text("\n") == "1.000\n[1.000, 1.000]"
