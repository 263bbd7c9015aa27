"""The chest phantom: a frontal and a lateral radiograph of one thorax with its findings."""

import dataclasses

import numpy as np

from data_pipelines.synthetic.canvas import Array, Finding, Picture, clouds, dome, ellipse, film, grid, soft, stroke

FINDINGS = ("cardiomegaly", "pleural effusion", "lung lesion", "consolidation", "pneumothorax")
EXTENT = {"small": 0.0, "moderate": 0.5, "large": 1.0}


@dataclasses.dataclass(frozen=True)
class Thorax:
    """What stays the same over a patient's studies: proportions, in half sides of the image."""

    width: float
    apex: float
    base: float
    heart: float
    rib_step: float
    rib_slope: float
    flesh: float
    bubble: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Thorax":
        u = rng.uniform
        return cls(u(0.66, 0.76), u(-0.8, -0.7), u(0.38, 0.5), u(0.88, 1.02), u(0.125, 0.15), u(0.2, 0.34), u(0.85, 1.1),
                   bool(u() < 0.6))  # fmt: skip


class Lung:
    """One lung of a frontal view: its distance field, its depth (0 apex, 1 base) and the way outwards `u`."""

    def __init__(self, x: Array, y: Array, body: Thorax, sign: float, tilt: float):
        self.sign, self.width = sign, body.width
        self.base = body.base - (0.05 if sign < 0 else 0.0)
        self.apex, self.y = body.apex, y
        self.u = sign * (x - tilt * y)
        self.t = np.clip((y - body.apex) / (self.base + 0.12 - body.apex), 0, 1)
        self.outer = body.width * np.sqrt(1 - (1 - self.t) ** 3)
        inner = 0.14 + 0.1 * np.exp(-self.t * 10)
        self.floor = self.base - 0.02 + 0.6 * ((self.u - 0.36 * body.width) / body.width) ** 2
        self.distance = np.minimum(np.minimum(self.outer - self.u, self.u - inner), (self.floor - y) * 0.8)

    def point(self, u: float, t: float) -> tuple[float, float]:
        """The place at a share `u` of the width outwards and `t` of the height down: (x, y)."""
        y = self.apex + t * (self.base + 0.12 - self.apex)
        return self.sign * u * self.width, y


def frontal(size: int, body: Thorax, findings: tuple[Finding, ...], rng: np.random.Generator) -> Picture:
    """The frontal view with masks of both lungs, the heart and each finding."""
    x, y = grid(size)
    tilt = rng.uniform(-0.04, 0.04)
    x = x - rng.uniform(-0.04, 0.04)
    lungs = {"right": Lung(x, y, body, -1, tilt), "left": Lung(x, y, body, 1, tilt)}

    shoulder = np.interp(
        y, [-1, -0.86, -0.66, -0.45, 0, 1], [0.24, 0.32, 0.84, 0.96, 0.9 * body.flesh, 0.94 * body.flesh]
    )
    torso = soft(shoulder - np.abs(x), 0.03)
    density = torso * (0.4 + 0.26 * np.sqrt(np.clip(1 - (x / (shoulder + 0.05)) ** 2, 0, 1)))
    density += 0.05 * torso * clouds(rng, size, 0.5)

    lung = np.maximum(lungs["right"].distance, lungs["left"].distance)
    vessels = _vessels(size, lungs, rng)
    air = soft(lung, 0.02) * (0.2 + 0.24 * dome(lung, 0.3))
    density -= air
    density += soft(lung, 0.02) * (0.16 * vessels + 0.015 * clouds(rng, size, 0.06))

    size_up = 1.0
    for finding in findings:
        if finding.name == "cardiomegaly":
            size_up = 1.34 + 0.22 * EXTENT[finding.extent]
    heart = _heart(x, y, body, size_up)
    density += 0.4 * soft(heart, 0.025) * (0.6 + 0.4 * dome(heart, 0.25)) * soft(lung + 0.03, 0.03)
    density += 0.1 * soft(0.15 - np.abs(x - 0.02), 0.03) * soft(y + 0.62, 0.08) * torso
    density += 0.16 * soft(ellipse(x, y, (0.13, -0.3), (0.11, 0.12)), 0.02)  # aortic knob
    density -= 0.16 * soft(0.045 - np.abs(x), 0.02) * soft(-0.3 - y, 0.04)  # trachea
    density += 0.12 * soft(-lung, 0.02) * soft(y - body.base + 0.1, 0.08) * torso  # abdomen
    if body.bubble:
        density -= 0.14 * soft(ellipse(x, y, (0.34, body.base + 0.2), (0.14, 0.08)), 0.03)
    density += _bones(size, x, y, body, torso)

    inside = {side: one.distance > 0 for side, one in lungs.items()}
    lesions = []
    for finding in findings:
        mask, change = _lesion(finding, lungs, heart, vessels, size, rng)
        lesions.append(mask)
        density += change * finding.strength
    density = _marker(density, size, rng)
    organs = {f"{side} lung": mask & (heart <= 0) for side, mask in inside.items()} | {"heart": heart > 0}
    return Picture("frontal", film(density, rng), organs, tuple(lesions))


def _heart(x: Array, y: Array, body: Thorax, size_up: float) -> Array:
    rx, ry = 0.3 * body.heart * size_up, 0.27 * body.heart * (0.6 + 0.4 * size_up)
    left = ellipse(x, y, (0.1 + 0.05 * size_up, body.base - 0.2), (rx, ry), 0.5)
    right = ellipse(x, y, (-0.06, body.base - 0.24), (0.17 * size_up, 0.25))
    return np.maximum(left, right)


def _vessels(size: int, lungs: dict[str, Lung], rng: np.random.Generator) -> Array:
    """Branching markings that run from each hilum to the periphery and fade on the way."""
    trunk, branch, twig = [], [], []
    s = np.linspace(0, 1, 12)
    for lung in lungs.values():
        for angle in np.linspace(-1.25, 1.3, 9) + rng.uniform(-0.1, 0.1, 9):
            length, bend = rng.uniform(0.3, 0.5), rng.uniform(-0.5, 0.5)
            heading = angle + bend * s
            steps = np.stack([lung.sign * np.cos(heading), np.sin(heading)], 1) * length / len(s)
            path = np.array([lung.sign * 0.17, -0.05]) + np.cumsum(steps, 0)
            trunk.append(path[:6])
            branch.append(path[5:9])
            twig.append(path[8:])
    drawn = [stroke(size, lines, width) for lines, width in ((trunk, 0.035), (branch, 0.022), (twig, 0.012))]
    return np.maximum(np.maximum(0.77 * drawn[0], 0.61 * drawn[1]), 0.5 * drawn[2])


def _bones(size: int, x: Array, y: Array, body: Thorax, torso: Array) -> Array:
    backs, fronts, clavicles = [], [], []
    s = np.linspace(0, 1, 16)
    for sign in (-1, 1):
        for i in range(10):
            top = body.apex - 0.06 + i * body.rib_step
            reach = body.width * min(1.02, 0.5 + 0.13 * i)
            back = np.stack([sign * reach * s, top - 0.05 * np.sin(np.pi * s) + body.rib_slope * s**1.6], 1)
            backs.append(back)
            if 2 <= i <= 7:
                fronts.append(np.stack([sign * reach * (1 - 0.72 * s), back[-1, 1] + 0.24 * np.sin(s * 1.5)], 1))
        clavicles.append(np.stack([sign * (0.07 + 0.68 * s), -0.6 - 0.16 * s - 0.05 * np.sin(2 * np.pi * s)], 1))
    core, rim = stroke(size, backs, 0.052), stroke(size, backs, 0.07) - stroke(size, backs, 0.045)
    bones = 0.07 * core + 0.035 * rim + 0.035 * stroke(size, fronts, 0.05) + 0.13 * stroke(size, clavicles, 0.06)
    discs = 0.7 + 0.3 * np.tanh(4 * np.sin(y * 2 * np.pi / 0.15))
    return bones * torso + 0.09 * soft(0.085 - np.abs(x), 0.02) * discs


def _lesion(
    finding: Finding, lungs: dict[str, Lung], heart: Array, vessels: Array, size: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The exact mask of a finding and the change of density that shows it, both `[S, S]`."""
    x, y = grid(size)
    extent = EXTENT[finding.extent]
    if finding.name == "cardiomegaly":
        return heart > 0, np.zeros_like(x)
    lung = lungs[finding.side]
    inside = soft(lung.distance, 0.02)
    if finding.name == "pleural effusion":
        level = lung.base - 0.02 - 0.32 * extent
        fluid = lung.y - level + 0.3 * np.clip(lung.u / lung.width, 0, 1) ** 3 - 0.1
        mask = (fluid > 0) & (lung.distance > 0)
        return mask, 0.36 * soft(fluid, 0.03) * inside
    if finding.name == "pneumothorax":
        gap = (0.1 + 0.12 * extent) * (1.25 - lung.t)
        rim = gap - (lung.outer - lung.u) * (0.6 + 0.4 * lung.t)
        mask = (rim > 0) & (lung.distance > 0) & (lung.t < 0.9)
        line = np.exp(-((rim / 0.014) ** 2)) * (lung.t < 0.9)
        return mask, inside * (soft(rim, 0.01) * (-0.13 - 0.15 * vessels) + 0.16 * line + 0.05 * soft(-rim, 0.02))
    t = rng.uniform(0.26, 0.46) if finding.zone == "upper" else rng.uniform(0.6, 0.8)
    u = rng.uniform(0.45, 0.68) if finding.zone == "upper" or finding.side == "right" else rng.uniform(0.72, 0.8)
    centre = lung.point(u, t)
    if finding.name == "lung lesion":
        radius = 0.055 + 0.045 * extent
        disc = ellipse(x, y, centre, (radius, radius * rng.uniform(0.85, 1.15)))
        return disc > 0, 0.3 * soft(disc, 0.012) * (0.6 + 0.4 * dome(disc, radius))
    radius = 0.17 + 0.08 * extent
    patch = ellipse(x, y, centre, (radius, radius * rng.uniform(0.9, 1.3)), rng.uniform(-0.6, 0.6))
    patch = np.minimum(patch + 0.035 * clouds(rng, size, 0.12), lung.distance)
    texture = 1 + 0.2 * clouds(rng, size, 0.05)
    return patch > 0, 0.27 * soft(patch, 0.035) * texture * inside


def _marker(density: Array, size: int, rng: np.random.Generator) -> Array:
    """The lead letter L beside the patient's left shoulder."""
    cx, cy = rng.uniform(0.84, 0.9), rng.uniform(-0.92, -0.86)
    letter = np.array([[cx, cy], [cx, cy + 0.1], [cx + 0.06, cy + 0.1]])
    return np.maximum(density, 0.95 * stroke(size, [letter], 0.025))


def lateral(size: int, body: Thorax, findings: tuple[Finding, ...], rng: np.random.Generator) -> Picture:
    """The lateral view (front to the left); it carries no masks, since annotations refer to the first view."""
    x, y = grid(size)
    x = x - rng.uniform(-0.04, 0.04)
    front = np.interp(y, [-1, -0.75, -0.3, 0.4, 1], [-0.28, -0.5, -0.68, -0.78, -0.8 * body.flesh])
    back = np.interp(y, [-1, -0.8, -0.3, 0.3, 1], [0.4, 0.62, 0.76, 0.72, 0.66])
    torso = soft(np.minimum(x - front, back - x), 0.03)
    middle, half = (front + back) / 2, (back - front) / 2
    density = torso * (0.4 + 0.32 * np.sqrt(np.clip(1 - ((x - middle) / (half + 0.05)) ** 2, 0, 1)))
    density += 0.04 * torso * clouds(rng, size, 0.5)
    floor = body.base - 0.02 + 0.65 * np.clip(x + 0.15, -0.4, 1) ** 2
    lung = np.minimum(np.minimum(x - front - 0.12, back - 0.1 - x), (floor - y) * 0.8)
    lung = np.minimum(lung, ellipse(x, y, (0.1, 0.25), (0.9, 0.25 - body.apex)))
    density -= soft(lung, 0.025) * (0.16 + 0.24 * dome(lung, 0.3))
    density += 0.12 * soft(-(floor - y), 0.03) * torso
    size_up = 1.3 if any(f.name == "cardiomegaly" for f in findings) else 1.0
    heart = ellipse(x, y, (-0.22, body.base - 0.2), (0.3 * body.heart * size_up, 0.27 * size_up), -0.5)
    great = np.maximum(heart, ellipse(x, y, (-0.08, -0.2), (0.13, 0.34), 0.35))
    density += 0.22 * soft(great, 0.06) * (0.5 + 0.5 * dome(great, 0.3)) * soft(lung + 0.02, 0.03)
    density += 0.1 * soft(ellipse(x, y, (0.12, -0.85), (0.4, 0.3)), 0.15) * torso  # shoulders
    spine = 0.5 - 0.1 * (y - 0.2) ** 2
    discs = 0.75 + 0.25 * np.tanh(4 * np.sin(y * 2 * np.pi / 0.17))
    density += 0.17 * soft(0.08 - np.abs(x - spine), 0.02) * discs * torso
    density += 0.16 * soft(0.025 - np.abs(x - front - 0.09), 0.015) * soft(0.35 - np.abs(y + 0.15), 0.03)  # sternum
    s = np.linspace(0, 1, 12)
    tops = body.apex + 0.08 + body.rib_step * np.arange(8)
    density += 0.05 * stroke(size, [np.stack([0.5 - 0.95 * s, top + 0.42 * s**1.3], 1) for top in tops], 0.04) * torso
    for finding in findings:
        density += finding.strength * _lateral_change(finding, x, y, lung, body, size, rng)
    return Picture("lateral", film(density, rng), {}, ())


def _lateral_change(
    finding: Finding, x: Array, y: Array, lung: Array, body: Thorax, size: int, rng: np.random.Generator
) -> Array:
    inside, extent = soft(lung, 0.02), EXTENT[finding.extent]
    if finding.name == "pleural effusion":
        fluid = y - (body.base + 0.12 - 0.3 * extent) + 0.25 * np.clip(x, 0, 1) ** 2
        return 0.3 * soft(fluid, 0.03) * inside
    if finding.name in ("cardiomegaly", "pneumothorax"):
        return np.zeros_like(x)
    height = -0.35 if finding.zone == "upper" else 0.12
    centre = (rng.uniform(0.0, 0.3), height + rng.uniform(-0.06, 0.06))
    radius = 0.06 + 0.04 * extent if finding.name == "lung lesion" else 0.18 + 0.06 * extent
    patch = ellipse(x, y, centre, (radius, radius))
    if finding.name == "consolidation":
        patch = patch + 0.035 * clouds(rng, size, 0.12)
    return 0.24 * soft(patch, 0.02) * inside
