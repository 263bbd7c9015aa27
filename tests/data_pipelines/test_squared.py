"""Square images, and what lies on them."""

import numpy as np

from data_pipelines import images
from data_pipelines.squared import Squared
from unimedvlp.records import Record


def test_a_wide_image_gets_borders_and_its_objects_move_along():
    image, mask = np.full((20, 40, 1), 90, np.uint8), np.zeros((10, 20), np.uint8)
    mask[:5, 10:] = 255
    record = Record(
        "s", images=(images.encode_png(image),), views=("frontal",), boxes=np.array([[0, 0.5, 0.5, 1]], np.float32),
        box_classes=("lung",), masks=(images.encode_png(mask),), mask_classes=("lung",),
    )  # fmt: skip
    (found,) = Squared([record])
    square = images.decode(found.images[0], channels=1)[..., 0]
    assert square.shape == (40, 40) and not square[:10].any() and (square[10:30] == 90).all() and not square[30:].any()
    np.testing.assert_allclose(found.boxes, [[0.25, 0.5, 0.5, 1]])
    moved = images.decode(found.masks[0], channels=1)[..., 0] > 0
    assert moved.shape == (20, 20) and moved.sum() == 50 and moved[5:10, 10:].all()


def test_what_cannot_be_squared_stays():
    text, broken = Record("s", findings="clear"), Record("t", images=(b"\xff\xd8\xff no",), views=("frontal",))
    assert [record.study_id for record in Squared([text, broken])] == ["s", "t"]
    assert Squared([broken])[0].images == broken.images
