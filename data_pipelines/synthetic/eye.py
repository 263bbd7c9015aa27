"""The eye phantom: a red-free fundus photograph with optic disc, macula, vessels and their lesions."""

import dataclasses

import numpy as np

from data_pipelines.synthetic.canvas import Array, Finding, Picture, clouds, ellipse, film, grid, soft, stroke

FINDINGS = ("exudates", "retinal hemorrhage")
COUNT = {"small": 6, "moderate": 10, "large": 15}


@dataclasses.dataclass(frozen=True)
class Eye:
    """What stays the same over a patient's studies: which eye is followed, its disc and its vessels."""

    side: str
    disc: float
    radius: float
    vessels: int

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Eye":
        side = ("right", "left")[int(rng.integers(2))]
        return cls(side, rng.uniform(0.42, 0.52), rng.uniform(0.13, 0.16), int(rng.integers(2**31)))


def fundus(size: int, eye: Eye, findings: tuple[Finding, ...], rng: np.random.Generator) -> Picture:
    """The photograph with masks of the optic disc and of each finding (one mask for a cluster of spots).

    The disc lies on the nasal side: on the viewer's right in a right eye. `zone` is the half above or below the macula.
    """
    x, y = grid(size)
    nasal = 1.0 if eye.side == "right" else -1.0
    x, y = x - rng.uniform(-0.03, 0.03), y - rng.uniform(-0.03, 0.03)
    field = ellipse(x, y, (0, 0), (0.95, 0.95))
    light = 0.42 + 0.1 * (1 - x**2 - y**2) + 0.06 * rng.uniform(-1, 1) * x + 0.025 * clouds(rng, size, 0.3)
    light += 0.015 * clouds(rng, size, 0.05)
    macula = (-nasal * 0.12, 0.04)
    light -= 0.16 * np.exp(-(((x - macula[0]) ** 2 + (y - macula[1]) ** 2) / 0.022))
    disc = ellipse(x, y, (nasal * eye.disc, 0), (eye.radius, eye.radius * 1.1))
    cup = ellipse(x, y, (nasal * (eye.disc - 0.02), 0), (eye.radius * 0.45, eye.radius * 0.5))
    light += 0.26 * soft(disc, 0.02) + 0.13 * soft(cup, 0.02)
    light -= 0.2 * _vessels(size, eye, nasal)
    lesions = []
    for finding in findings:
        spots, mask = _spots(finding, macula, x, y, rng)
        light += (0.36 if finding.name == "exudates" else -0.28) * finding.strength * spots
        lesions.append(mask & (field > 0))
    return Picture("fundus", film(light * soft(field, 0.02), rng), {"optic disc": disc > 0}, tuple(lesions))


def _vessels(size: int, eye: Eye, nasal: float) -> Array:
    """Two arcades around the macula, two nasal trunks, and their branches; the same in every study of the eye."""
    rng = np.random.default_rng(eye.vessels)
    s = np.linspace(0, 1, 24)
    trunks, branches = [], []
    for up in (-1, 1):
        bow, reach = rng.uniform(0.48, 0.58), rng.uniform(1.25, 1.45)
        arcade = np.stack([nasal * (eye.disc - reach * s**1.3), up * bow * np.sin(np.pi * 0.75 * s**0.7)], 1)
        trunks += [arcade, np.stack([nasal * (eye.disc + 0.5 * s), up * (0.1 * s + 0.6 * s**1.5)], 1)]
        for start in (5, 8, 11, 14, 17, 20):
            away = 1 if start % 2 else -0.8
            length, lean = rng.uniform(0.25, 0.45), rng.uniform(0.1, 0.4)
            branches.append(
                arcade[start] + np.stack([-nasal * lean * s, up * away * length * s**1.2], 1) * s[:, None] ** 0.2
            )
    return np.maximum(stroke(size, trunks, 0.032), 0.7 * stroke(size, branches, 0.016))


def _spots(
    finding: Finding, macula: tuple[float, float], x: Array, y: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    up = -1 if finding.zone == "upper" else 1
    dark = finding.name == "retinal hemorrhage"
    centre = (macula[0] + rng.uniform(-0.25, 0.15), up * rng.uniform(0.3, 0.38))
    distance = np.full_like(x, -9.0)
    for _ in range(COUNT[finding.extent]):
        place = (centre[0] + rng.normal(0, 0.11), centre[1] + rng.normal(0, 0.07))
        radius = rng.uniform(0.03, 0.055) if dark else rng.uniform(0.022, 0.04)
        distance = np.maximum(
            distance, ellipse(x, y, place, (radius, radius * rng.uniform(0.8, 1.6)), rng.uniform(0, 3))
        )
    return soft(distance, 0.012), distance > 0
