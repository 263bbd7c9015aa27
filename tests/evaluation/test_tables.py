"""Markdown tables of scores."""

from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.evaluation.tables import markdown


def test_rows_columns_and_what_is_undefined():
    scores = {
        "constant": {"cider": Value(0.5, 0.4, 0.6, 9), "distinct": Value(12.0, 12.0, 12.0, 9)},
        "model": {"cider": Value(float("nan"), float("nan"), float("nan"), 9)},
    }
    assert markdown(scores, ["cider", "distinct"], bold="model").splitlines() == [
        "| | cider | distinct |",
        "| --- | ---: | ---: |",
        "| constant | 0.500 [0.400, 0.600] | 12 |",
        "| **model** |  |  |",
    ]
