"""Average precision and FROC against faster-coco-eval and against hand-made cases."""

import numpy as np
import pytest

from unimedvlp import runs
from unimedvlp.evaluation.detection import detection, match
from unimedvlp.evaluation.segmentation import mask_overlap

SIZE = 100


def scene(seed, images=25, names=("cell", "platelet", "rare")):
    """Objects and imperfect detections with many equal scores, on a grid of pixels."""
    rng = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(images):
        count = rng.integers(0, 6)
        corner = rng.integers(0, 70, (count, 2))
        boxes = np.concatenate([corner, corner + rng.integers(5, 30, (count, 2))], axis=1)
        classes = rng.choice(names, count, p=(0.6, 0.35, 0.05)).tolist()
        keep = rng.random(count) < 0.8
        shaken = np.sort((boxes + rng.integers(-4, 5, boxes.shape)).reshape(-1, 2, 2), axis=1).reshape(-1, 4)[keep]
        extra = np.sort(rng.integers(0, SIZE, (3, 2, 2)), axis=1).reshape(-1, 4) + [0, 0, 1, 1]
        found = np.concatenate([shaken, extra]).clip(0, SIZE)
        said = [c for c, kept in zip(classes, keep, strict=True) if kept] + rng.choice(names, 3).tolist()
        truths.append({"boxes": (boxes / SIZE).tolist(), "classes": classes})
        scores = (rng.integers(1, 20, len(found)) / 20).tolist()
        predictions.append({"boxes": (found / SIZE).tolist(), "classes": said, "scores": scores})
    return predictions, truths


def coco(predictions, truths, names, kind="bbox"):
    """What faster-coco-eval makes of the same."""
    lib = pytest.importorskip("faster_coco_eval")

    def entry(found, image, i):
        top, left, bottom, right = np.array(found["boxes"][i]) * SIZE
        box = [left, top, right - left, bottom - top]
        row = {"image_id": image, "category_id": names.index(found["classes"][i]) + 1, "bbox": box, "iscrowd": 0}
        if kind == "segm":
            row["segmentation"] = found["masks"][i]
        return row | {"area": box[2] * box[3]}

    objects = [entry(t, i, k) for i, t in enumerate(truths) for k in range(len(t["classes"]))]
    said = [
        entry(p, i, k) | {"score": p["scores"][k]} for i, p in enumerate(predictions) for k in range(len(p["classes"]))
    ]
    images = [{"id": i, "height": SIZE, "width": SIZE} for i in range(len(truths))]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    dataset = {"images": images, "categories": categories} | {
        "annotations": [row | {"id": i + 1} for i, row in enumerate(objects)]
    }
    truth = lib.COCO(dataset)
    evaluation = lib.COCOeval_faster(truth, truth.loadRes(said), kind, print_function=lambda *args: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(("map", "ap50", "ap75"), evaluation.stats[:3], strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_the_fields_implementation(seed):
    predictions, truths = scene(seed)
    mine = detection(predictions, truths).point()
    expected = coco(predictions, truths, ["cell", "platelet", "rare"])
    assert {name: mine[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_average_precision_of_masks_equals_it_too():
    predictions, truths = scene(5, images=12)
    for found in (*predictions, *truths):
        found["masks"] = [runs.encode(blob(box)) for box in found["boxes"]]
    mine = detection(predictions, truths, overlap=mask_overlap).point()
    expected = coco(predictions, truths, ["cell", "platelet", "rare"], "segm")
    assert {name: mine[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def blob(box):
    """A box without its upper left quarter."""
    top, left, bottom, right = (round(x * SIZE) for x in box)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top:bottom, left:right] = True
    mask[top : (top + bottom) // 2, left : (left + right) // 2] = False
    return mask


def test_a_resample_equals_the_images_repeated():
    predictions, truths = scene(7, images=10)
    weights = np.array([[0, 2, 1, 0, 3, 1, 0, 1, 2, 0]], float)
    drawn = np.repeat(np.arange(10), weights[0].astype(int))
    weighted = detection(predictions, truths).score(weights)
    repeated = detection([predictions[i] for i in drawn], [truths[i] for i in drawn]).point()
    for name, value in repeated.items():
        assert weighted[name][0] == pytest.approx(value, abs=1e-9), name


def test_froc_counts_by_hand():
    right = [0.0, 0.0, 0.5, 0.5]
    wrong = [0.6, 0.6, 0.9, 0.9]
    truths = [{"boxes": [right], "classes": ["a"]}] * 2
    predictions = [
        {"boxes": [right, wrong], "classes": ["a", "a"], "scores": [0.9, 0.8]},
        {"boxes": [wrong, right], "classes": ["a", "a"], "scores": [0.8, 0.5]},
    ]
    # one object of two without a false alarm; both with two alarms on two images, one an image
    assert detection(predictions, truths).point()["froc"] == pytest.approx((3 * 0.5 + 4 * 1.0) / 7)


def test_nothing_found_scores_nothing_and_all_found_scores_all():
    _, truths = scene(1)
    nothing = [{"boxes": [], "classes": [], "scores": []}] * len(truths)
    everything = [truth | {"scores": [1.0] * len(truth["classes"])} for truth in truths]
    assert set(detection(nothing, truths).point().values()) == {0.0}
    perfect = detection(everything, truths).point()
    assert all(value == pytest.approx(1) for value in perfect.values())


def test_detections_choose_in_order_and_one_object_is_taken_once():
    overlaps = np.array([[0.6, 0.9], [0.7, 0.95], [0.0, 0.0]])
    assert match(overlaps, np.array([0.5, 0.8])).tolist() == [[1, 0, -1], [1, -1, -1]]
