import cv2
import numpy as np
import pytest

from data_pipelines.images import move_boxes
from data_pipelines.transforms import Augment, augment, names_side, photometric
from unimedvlp.records import Question, Record

SIZE = 96
GEOMETRIC = {
    "crop": Augment(crop=0.5),
    "rotate": Augment(rotate=8),
    "shift": Augment(shift=0.1),
    "flip": Augment(flip=1.0),
    "all": Augment(crop=0.7, rotate=5, shift=0.05, flip=0.5),
}
FULL = Augment(crop=0.7, rotate=5, shift=0.05, flip=0.5, brightness=0.1, contrast=0.1, gamma=0.2, noise=5)


def drawing():
    """Four boxes, each drawn as a mask, and an image that shows all of them."""
    corners = np.array([[10, 20, 40, 50], [55, 8, 90, 30], [30, 60, 60, 90], [70, 60, 94, 94]])
    masks = []
    for top, left, bottom, right in corners:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[top:bottom, left:right] = 255
        masks.append(mask)
    return np.max(masks, axis=0)[..., None], (corners / SIZE).astype(np.float32), masks


def hull(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / len(mask)


def iou(a, b):
    overlap = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return overlap / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - overlap)


def test_the_defaults_change_nothing():
    image, boxes, masks = drawing()
    result = augment([image], boxes, masks, np.random.default_rng(0), Augment(), allow_flip=True)
    np.testing.assert_array_equal(result.images[0], image)
    np.testing.assert_array_equal(result.boxes, boxes)
    np.testing.assert_array_equal(result.masks, masks)
    assert result.boxes_kept.all()
    assert result.masks_kept.all()


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("size", [None, 64])
def test_boxes_masks_and_pixels_move_together(name, size):
    image, boxes, masks = drawing()
    moved = 0
    for seed in range(10):
        result = augment([image], boxes, masks, np.random.default_rng(seed), GEOMETRIC[name], True, size)
        assert result.images[0].shape == (size or SIZE, size or SIZE, 1)
        assert np.all(result.boxes >= 0)
        assert np.all(result.boxes <= 1)
        both = result.boxes_kept & result.masks_kept
        of_boxes = result.boxes[both[result.boxes_kept]]
        of_masks = [m for m, ok in zip(result.masks, both[result.masks_kept], strict=True) if ok]
        for box, mask in zip(of_boxes, of_masks, strict=True):
            assert iou(box, hull(mask)) > 0.85
        if result.masks_kept.all():
            shown, drawn = result.images[0][..., 0] > 127, np.max(result.masks, axis=0) > 0
            assert np.sum(shown & drawn) / np.sum(shown | drawn) > 0.93
        moved += not np.allclose(result.geometry, np.eye(3))
    assert moved >= 5


def test_objects_that_leave_the_picture_are_dropped_and_marked():
    image, boxes, masks = drawing()
    dropped = 0
    for seed in range(20):
        result = augment([image], boxes, masks, np.random.default_rng(seed), Augment(crop=0.2), True)
        moved = move_boxes(boxes, result.geometry)
        inside = np.prod(np.maximum(np.clip(moved, 0, 1)[:, 2:] - np.clip(moved, 0, 1)[:, :2], 0), 1)
        visible = inside / np.prod(moved[:, 2:] - moved[:, :2], axis=1)
        np.testing.assert_array_equal(result.boxes_kept, visible > 0.25)
        clear = np.abs(visible - 0.25) > 0.05
        np.testing.assert_array_equal(result.masks_kept[clear], result.boxes_kept[clear])
        assert len(result.boxes) == result.boxes_kept.sum()
        assert len(result.masks) == result.masks_kept.sum()
        dropped += (~result.boxes_kept).sum()
    assert dropped > 10


def test_a_flip_is_a_mirror_and_happens_only_when_allowed():
    image, boxes, masks = drawing()
    flipped = augment([image], boxes, masks, np.random.default_rng(0), Augment(flip=1.0), True)
    np.testing.assert_array_equal(flipped.images[0], image[:, ::-1])
    np.testing.assert_allclose(flipped.boxes[:, [1, 3]], 1 - boxes[:, [3, 1]], atol=1e-6)
    kept = augment([image], boxes, masks, np.random.default_rng(0), Augment(flip=1.0), False)
    np.testing.assert_array_equal(kept.images[0], image)


def test_views_share_the_geometry_but_not_the_light():
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(60, 200, (SIZE, SIZE, 3), np.uint8), (9, 9), 3)
    moved = augment([image, image], np.zeros((0, 4)), [], np.random.default_rng(1), GEOMETRIC["all"], True)
    np.testing.assert_array_equal(*moved.images)
    lit = augment([image, image], np.zeros((0, 4)), [], np.random.default_rng(1), FULL, True)
    assert np.abs(lit.images[0].astype(int) - lit.images[1]).mean() > 1


def test_the_generator_decides_everything():
    image, boxes, masks = drawing()
    one, same, other = (augment([image], boxes, masks, np.random.default_rng(s), FULL, True) for s in (7, 7, 8))
    np.testing.assert_array_equal(one.images[0], same.images[0])
    assert not np.array_equal(one.images[0], other.images[0])


def test_light_changes_stay_within_their_limits():
    grey = np.full((64, 64, 1), 128, np.uint8)
    means = [photometric(grey, np.random.default_rng(s), Augment(brightness=0.1)).mean() - 128 for s in range(50)]
    assert 20 < max(means) <= 26
    assert -26 <= min(means) < -20
    noisy = [photometric(grey, np.random.default_rng(s), Augment(noise=6)).std() for s in range(50)]
    assert 4 < max(noisy) < 6.5
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    bent = photometric(ramp, np.random.default_rng(3), Augment(gamma=0.3)).ravel()
    assert bent[0] == 0
    assert bent[-1] == 255
    assert np.all(np.diff(bent.astype(int)) >= 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"findings": "Opacity in the LEFT lower lobe."},
        {"findings": "Right-sided effusion"},
        {"impression": "RUL mass"},
        {"impression": "lll atelectasis"},
        {"caption": "shift leftwards"},
        {"findings": "mild dextroscoliosis"},
        {"findings": "Lt. pleural effusion"},
        {"findings": "RIJ catheter"},
        {"findings": "marker R seen"},
        {"text": "derrame pleural izquierdo"},
        {"qa": (Question("Is there fluid?", "yes, on the right"),)},
        {"qa": (Question("Is the left lung clear?", "yes"),)},
        {"labels": {"left_effusion": "positive"}},
        {"box_classes": ("right lung",)},
        {"mask_classes": ("lung_left",)},
    ],
)
def test_texts_that_name_a_side(fields):
    assert names_side(Record("s", **fields))


@pytest.mark.parametrize(
    "text",
    ["Bilateral effusions.", "Bright spot, upright view", "cleft palate", "clear lungs", "L5 vertebra", "all rays"],
)
def test_texts_that_name_no_side(text):
    assert not names_side(Record("s", findings=text, qa=(Question("What is this?", text),), views=("frontal",)))
