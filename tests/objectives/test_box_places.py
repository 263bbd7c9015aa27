"""Where objects' boxes stand in a response."""

import numpy as np

from unimedvlp.objectives.coupling import box_places
from unimedvlp.tokens import region_sequences, text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import COORDINATE_BINS, COORDINATE_START

SPACE = TokenSpace.create(("cell",), text.train(["cell"], size=60))
BOXES = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.9, 0.7], [0.0, 0.0, 1.0, 1.0]], np.float32)


def find(target, boxes, mask):
    places, there = box_places(target[None], boxes[None], mask[None], COORDINATE_START, COORDINATE_BINS)
    return np.asarray(places[0]), np.asarray(there[0])


def test_boxes_are_found_in_any_order_and_absent_or_padded_ones_are_not():
    told = region_sequences.detection(SPACE, "pathology", BOXES[[1, 0]], ["cell"] * 2)
    target = np.array([5, 5, *told.response, 0, 0], np.int32)
    places, there = find(target, BOXES, np.array([True, True, True]))
    np.testing.assert_array_equal(there, [True, True, False])
    np.testing.assert_array_equal(places[:2], [2 + 5, 2])
    assert not find(target, BOXES, np.zeros(3, bool))[1].any()


def test_four_numbers_across_two_boxes_are_no_box():
    told = region_sequences.detection(SPACE, "pathology", BOXES[:2], ["cell"] * 2)
    bins = np.array(told.response) - COORDINATE_START
    across = np.array([[bins[2], bins[3], bins[5], bins[6]]], np.float32) / (COORDINATE_BINS - 1)
    assert not find(np.array(told.response, np.int32), across, np.array([True]))[1].any()


def test_a_bin_aside_is_another_box():
    told = region_sequences.detection(SPACE, "pathology", BOXES[:1], ["cell"])
    moved = BOXES[:1] + 2 / (COORDINATE_BINS - 1)
    assert not find(np.array(told.response, np.int32), moved, np.array([True]))[1].any()
