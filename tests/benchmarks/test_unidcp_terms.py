"""What the table of pre-training terms puts beside the model."""

import numpy as np
import pytest

from benchmarks.unidcp_terms import without_looking


def test_guesses_by_frequency():
    found = without_looking(np.repeat([4100, 4200, 4300, 4400], [1, 1, 1, 1]), batch=8)
    assert found["loss/mlm"] == pytest.approx(np.log(4)) and found["mlm_accuracy"] == 0.25
    assert found["loss/itm"] == pytest.approx(-np.log(2 / 3) * 2 / 3 - np.log(1 / 3) / 3)
    assert found["loss/itc"] == found["loss/share"] == pytest.approx(np.log(8))
    assert without_looking(np.repeat([4100, 4200], [3, 1]), batch=8)["loss/umlm"] < np.log(2)
