"""Drawing on a square of density: soft shapes, strokes, texture and the film that makes eight bits of it.

Coordinates: x grows to the right and y downwards, both from -1 to 1 over the image. Everything is float64 until the film
rounds it, so that the same seed gives the same pixels on every machine.
"""

import dataclasses

import cv2
import numpy as np

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Finding:
    """One abnormality to draw and to write about. `side` is the patient's: left, right or "" where it has none."""

    name: str
    side: str = ""
    zone: str = ""  # upper | lower | ""
    extent: str = "moderate"  # small | moderate | large
    uncertain: bool = False

    @property
    def strength(self) -> float:
        """Contrast of the drawing relative to a certain finding."""
        return 0.55 if self.uncertain else 1.0

    @property
    def sign(self) -> float:
        """Where the side lies in a frontal or axial image: the patient's left is on the viewer's right."""
        return 1.0 if self.side == "left" else -1.0


@dataclasses.dataclass(frozen=True)
class Picture:
    """One drawn view: image uint8 [S, S], organ masks and one mask a finding, all bool [S, S]."""

    view: str
    image: Array
    organs: dict[str, Array]
    lesions: tuple[Array, ...]


def grid(size: int) -> tuple[Array, Array]:
    """Pixel centres `(x, y)`, each `[S, S]`, from -1 to 1."""
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    return np.meshgrid(axis, axis)


def soft(distance: Array, width: float = 0.02) -> Array:
    """1 inside (positive distance), 0 outside, with an edge of about `width`."""
    return 0.5 + 0.5 * np.tanh(np.clip(distance / width, -20, 20))


def ellipse(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Array:
    """Approximate signed distance to an ellipse, positive inside; `angle` in radians, clockwise on screen."""
    dx, dy = x - centre[0], y - centre[1]
    u = dx * np.cos(angle) + dy * np.sin(angle)
    v = dy * np.cos(angle) - dx * np.sin(angle)
    return (1 - np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2)) * min(radii)


def dome(distance: Array, depth: float) -> Array:
    """Thickness of a rounded body from its signed distance: 0 at the rim, 1 from `depth` inwards."""
    t = np.clip(distance / depth, 0, 1)
    return np.sqrt(t * (2 - t))


def stroke(size: int, lines: list[Array], width: float) -> Array:
    """Smooth lines, each through points `[N, 2]` (x, y); `width` in half sides of the image. Float `[S, S]` in 0..1."""
    shift, scale = 6, 3
    pixels = [np.round(((line + 1) / 2 * size * scale - 0.5) * 2**shift).astype(np.int32)[:, None] for line in lines]
    canvas = np.zeros((size * scale, size * scale), np.uint8)
    cv2.polylines(canvas, pixels, False, 255, max(1, round(width * size * scale / 2)), cv2.LINE_AA, shift)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) / 255


def clouds(rng: np.random.Generator, size: int, cell: float) -> Array:
    """Smooth noise `[S, S]` of mean 0 and deviation 1 with structures of about `cell` (in half sides)."""
    noise = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), max(cell * size / 4, 0.5))
    return (noise - noise.mean()) / noise.std()


def film(density: Array, rng: np.random.Generator, grain: float = 0.018) -> Array:
    """Density to a uint8 picture: exposure, contrast, blur and grain vary as between machines."""
    size = len(density)
    blurred = cv2.GaussianBlur(density, (0, 0), rng.uniform(0.35, 0.6) * size / 128)
    exposed = np.clip(blurred * rng.uniform(0.92, 1.08) + rng.uniform(-0.03, 0.03), 0, 1) ** rng.uniform(0.9, 1.12)
    noisy = exposed + rng.standard_normal(density.shape) * grain * rng.uniform(0.6, 1.3)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def box(mask: Array) -> tuple[float, float, float, float]:
    """The tightest (ymin, xmin, ymax, xmax) in 0..1 around a bool mask `[S, S]`."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return ys[0] / height, xs[0] / width, (ys[-1] + 1) / height, (xs[-1] + 1) / width


def png(image: Array) -> bytes:
    """PNG bytes of a uint8 image or a bool mask `[S, S]`."""
    pixels = image.astype(np.uint8) * 255 if image.dtype == bool else image
    return cv2.imencode(".png", pixels)[1].tobytes()
