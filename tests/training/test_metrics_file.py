"""metrics.jsonl survives kills and repeats."""

from unimedvlp.training.metrics_file import NAME, MetricsFile, read_metrics


def test_later_lines_win_and_half_lines_are_passed_over(tmp_path):
    first = MetricsFile(tmp_path)
    first.write(2, {"loss": 3.0})
    first.write(4, {"loss": 2.0, "validation": 0.5})
    with (tmp_path / NAME).open("a") as file:
        file.write('{"step": 6, "lo')
    second = MetricsFile(tmp_path)
    second.write(4, {"loss": 1.0})
    second.write(6, {"loss": float("nan")})
    assert read_metrics(tmp_path) == {2: {"loss": 3.0}, 4: {"loss": 1.0, "validation": 0.5}, 6: {"loss": None}}
