"""The head phantom: an axial CT slice (brain window) with bleeding or wide ventricles."""

import dataclasses

import numpy as np

from data_pipelines.synthetic.canvas import Array, Finding, Picture, clouds, dome, ellipse, film, grid, soft

FINDINGS = ("hemorrhage", "hydrocephalus")
EXTENT = {"small": 0.0, "moderate": 0.5, "large": 1.0}


@dataclasses.dataclass(frozen=True)
class Head:
    """What stays the same over a patient's studies, in half sides of the image."""

    width: float
    length: float
    skull: float
    folds: int

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Head":
        return cls(rng.uniform(0.64, 0.74), rng.uniform(0.82, 0.9), rng.uniform(0.055, 0.08), int(rng.integers(2**31)))


def axial(size: int, head: Head, findings: tuple[Finding, ...], rng: np.random.Generator) -> Picture:
    """The slice (front upwards, the patient's left on the viewer's right) with masks of brain, ventricles and findings."""
    x, y = grid(size)
    x, y = x - rng.uniform(-0.05, 0.05), y - rng.uniform(-0.04, 0.04)
    tilt = rng.uniform(-0.1, 0.1)
    x, y = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    outside = ellipse(x, y, (0, 0), (head.width + 0.05, head.length + 0.05))
    skull = ellipse(x, y, (0, 0), (head.width, head.length))
    brain = ellipse(x, y, (0, 0), (head.width - head.skull, head.length - head.skull))
    density = 0.28 * soft(outside) + 0.7 * soft(skull) - 0.56 * soft(brain - 0.01)
    folds = clouds(np.random.default_rng(head.folds), size, 0.07)
    rim = soft(0.2 - brain, 0.06) * soft(brain - 0.03)
    sulci = np.exp(-((folds / 0.25) ** 2)) * rim
    density += soft(brain - 0.02) * (0.05 * soft(0.14 - brain, 0.05) - 0.02) - 0.13 * sulci
    density += 0.08 * soft(0.012 - np.abs(x), 0.01) * soft(brain - 0.03) * soft(np.abs(y) - 0.28, 0.05)  # falx

    wide = 1.0
    for finding in findings:
        if finding.name == "hydrocephalus":
            wide = 1 + finding.strength * (0.9 + 0.5 * EXTENT[finding.extent])
    ventricles = _ventricles(x, y, wide)
    density -= 0.24 * soft(ventricles, 0.015)
    lesions = []
    for finding in findings:
        if finding.name == "hydrocephalus":
            lesions.append(ventricles > 0)
            continue
        clot = _clot(finding, x, y, brain, size, rng)
        density += 0.3 * finding.strength * soft(clot, 0.02) * (0.8 + 0.2 * dome(clot, 0.1))
        density -= (
            0.07 * finding.strength * soft(clot + 0.07, 0.03) * soft(-clot, 0.02) * soft(brain)
        )  # swelling around it
        lesions.append(clot > 0)
    organs = {"brain": brain > 0, "ventricles": ventricles > 0}
    return Picture("axial", film(density, rng, grain=0.025), organs, tuple(lesions))


def _ventricles(x: Array, y: Array, wide: float) -> Array:
    """Two horns that part to the front and back, and the slit of the third ventricle."""
    u = np.abs(x)
    front = ellipse(u, y, (0.11 + 0.02 * wide, -0.2), (0.055 * wide, 0.17 + 0.03 * wide), 0.45)
    back = ellipse(u, y, (0.16 + 0.02 * wide, 0.24), (0.05 * wide, 0.17 + 0.03 * wide), -0.4)
    return np.maximum(np.maximum(front, back), ellipse(x, y, (0, 0.02), (0.02 * wide, 0.09)))


def _clot(finding: Finding, x: Array, y: Array, brain: Array, size: int, rng: np.random.Generator) -> Array:
    radius = 0.1 + 0.09 * EXTENT[finding.extent]
    centre = (finding.sign * rng.uniform(0.3, 0.4), rng.uniform(-0.3, 0.3))
    clot = ellipse(x, y, centre, (radius, radius * rng.uniform(1.0, 1.4)), rng.uniform(-0.8, 0.8))
    return np.minimum(clot + 0.02 * clouds(rng, size, 0.1), brain - 0.03)
