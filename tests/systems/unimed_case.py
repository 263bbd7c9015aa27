"""A UniMed small enough for tests, and a batch that has everything: boxes alone, masks, labels, and an unlabelled image."""

import numpy as np

from unimedvlp import systems
from unimedvlp.tokens import region_sequences, text
from unimedvlp.tokens.box_noise import Noise
from unimedvlp.tokens.space import TokenSpace

CLASSES = ("cell", "left lung", "nodule", "pneumonia")
SPACE = TokenSpace.create(CLASSES, text.train(CLASSES * 2, size=60))
SIDE, OBJECTS, PROMPT, RESPONSE = 64, 3, 4, 17
MODEL = {
    "backbone": {"name": "conv", "widths": (32, 32, 32, 32), "depths": (1, 1, 1, 1)},
    "channels": 1,
    "width": 32,
    "heads": 2,
    "mlp": 32,
    "pixel_depth": 1,
    "text_depth": 1,
    "decomposed_depth": 1,
    "composed_depth": 1,
    "queries": 8,
    "selected": True,
    "max_text": 16,
    "max_response": PROMPT + RESPONSE,
}
CONFIG = {"name": "unimed", "model": MODEL, "labels": ("nodule", "pneumonia"), "points": 32, "copies": 2}


def build(**changes):
    """The system; `model` changes single fields of the model."""
    model = MODEL | dict(changes.pop("model", {}))
    return systems.build(CONFIG | {"model": model} | changes, SPACE, image_size=SIDE, views=1)


def make_batch(size=4):
    """Row 0: masks and boxes of lungs; row 1: boxes of cells only; row 2: image labels; row 3: nothing at all; and again."""
    rng = np.random.default_rng(0)
    rows = [_row(i % 4, rng) for i in range(size)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _row(kind, rng):
    count = (2, 3, 0, 0)[kind]
    low = rng.uniform(0, 0.5, (OBJECTS, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.2, 0.45, (OBJECTS, 2))], axis=1).astype(np.float32)
    there = np.arange(OBJECTS) < count
    boxes[~there] = 0
    masks = np.zeros((OBJECTS, 16, 16), np.uint8)
    for mask, box in zip(masks, (boxes * 16).round().astype(int), strict=True):
        mask[box[0] : box[2], box[1] : box[3]] = kind == 0
    name = ("left lung", "cell", "", "")[kind]
    noise = Noise(corruption=0.5)
    told = region_sequences.detection(SPACE, "xray", boxes[there], [name] * count, rng, objects=OBJECTS, noise=noise)
    weight = np.array(told.weight, np.float32) * (count > 0)
    prompt = np.array([*told.prompt, 0][:PROMPT], np.int32)
    response = np.array(told.response, np.int32)
    pad = np.zeros(RESPONSE - len(response), np.int32)
    return {
        "image": rng.integers(0, 255, (1, SIDE, SIDE, 1)).astype(np.uint8),
        "view_mask": np.ones(1, bool),
        "prompt": prompt,
        "prompt_mask": np.arange(PROMPT) < len(told.prompt),
        "response": np.concatenate([response, pad]),
        "target": np.concatenate([np.array(told.target, np.int32), pad]),
        "response_weight": np.concatenate([weight, pad.astype(np.float32)]),
        "boxes": boxes,
        "classes": np.full(OBJECTS, CLASSES.index(name) if name else 0, np.int32) * there,
        "object_mask": there,
        "annotated": np.bool_(count > 0),
        "masks": masks,
        "has_mask": there & (kind == 0),
        "labels": np.array([1, 0] if kind == 2 else [np.nan, np.nan], np.float32),
        "labelled": np.bool_(kind < 3),
    }
