"""Noise in box sequences, so that a decoder learns to tell objects from guesses and to look before it names.

After pix2seq's sequence augmentation (Chen et al., 2022); the distributions are those of its public code.
"""

import dataclasses

import numpy as np

from unimedvlp.tokens.vocabulary import CLASS_START, NOISE


@dataclasses.dataclass(frozen=True)
class Noise:
    """How noisy the boxes of training are.

    Slots that an image's objects leave free are filled with boxes labelled NOISE: near copies of objects, whose corners move
    by a normal of `jitter` sides, copies moved elsewhere and boxes of random size, in random shares. Only their class is
    taught. What the decoder reads as class is, in a share `corruption` of all boxes, a random class or NOISE, half each. The
    end counts `end_weight`, since with every slot filled it says nothing of the image.
    """

    jitter: float = 0.05
    corruption: float = 1.0
    end_weight: float = 0.1


def noise_boxes(boxes: np.ndarray, count: int, rng: np.random.Generator, jitter: float) -> np.ndarray:
    """`count` boxes [count, 4] that are no objects: near copies of `boxes` [K, 4], copies moved elsewhere, random ones."""
    near = int(rng.integers(count + 1)) if len(boxes) else 0
    moved = int(rng.binomial(count - near, 0.5)) if len(boxes) else 0
    copies = boxes[rng.integers(len(boxes), size=near + moved)] if len(boxes) else np.zeros((0, 4))
    sides = copies[:, 2:] - copies[:, :2]
    shaken = copies[:near] + np.tile(sides[:near], 2) * _truncated_normal(rng, (near, 4)) * jitter
    random_sides = np.abs(_truncated_normal(rng, (count - near - moved, 2))) / 2
    anywhere = np.concatenate([sides[near:], random_sides])
    centres = rng.uniform(size=anywhere.shape)
    found = np.concatenate([shaken, np.hstack([centres - anywhere / 2, centres + anywhere / 2])]).clip(0, 1)
    return rng.permutation(np.hstack([np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:])]))


def corrupted(classes: np.ndarray, registered: int, rng: np.random.Generator, share: float) -> np.ndarray:
    """Class ids [K] of which a share became one of the `registered` classes or NOISE, half each."""
    drawn = CLASS_START + rng.integers(registered, size=classes.shape)
    wrong = np.where(rng.uniform(size=classes.shape) < 0.5, NOISE, drawn)
    return np.where(rng.uniform(size=classes.shape) < share, wrong, classes)


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals, drawn again where beyond two deviations."""
    values = rng.normal(size=shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.normal(size=far.sum())
    return values
