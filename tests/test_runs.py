"""Run lengths and back, and that the field's readers agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from data_pipelines.annotations import coco_runs
from unimedvlp import runs


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans()))
def test_masks_return(mask):
    written = runs.encode(mask)
    np.testing.assert_array_equal(runs.decode(written), mask)
    np.testing.assert_array_equal(coco_runs(written["counts"], *written["size"]), mask)


def test_the_fields_reader_agrees():
    coco = pytest.importorskip("faster_coco_eval.core.mask")
    mask = np.random.default_rng(0).random((7, 5)) > 0.5
    read = coco.decode(coco.frPyObjects(runs.encode(mask), 7, 5))
    np.testing.assert_array_equal(read, mask)
