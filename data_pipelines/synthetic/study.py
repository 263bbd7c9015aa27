"""Studies of phantom patients: who comes how often, with what, and the record of each visit."""

from collections.abc import Iterator

import numpy as np

from data_pipelines.synthetic import canvas, chest, eye, head, words
from data_pipelines.synthetic.canvas import Finding
from unimedvlp.records import Record

_KINDS = ("chest", "head", "eye")
_KIND_SHARES = (0.6, 0.2, 0.2)
_VISITS, _VISIT_SHARES = (1, 2, 3), (0.55, 0.3, 0.15)
_NORMAL, _SECOND, _UNCERTAIN = 0.27, 0.3, 0.08  # chances of a normal study, of one more finding, of a doubtful one
_ANATOMY, _VISIT, _WORDS = 1, 2, 3  # streams of random numbers


def studies(count: int, seed: int = 0, size: int = 128) -> Iterator[Record]:
    """The first `count` studies. Study i depends on the seed and the size only, not on the count."""
    return (study(patient, visit, seed, size) for patient, visit in appointments(count, seed))


def appointments(count: int, seed: int = 0) -> Iterator[tuple[int, int]]:
    """Patient and visit of the first `count` studies."""
    patient = made = 0
    while made < count:
        visits = int(np.random.default_rng([seed, patient]).choice(_VISITS, p=_VISIT_SHARES))
        for visit in range(min(visits, count - made)):
            yield patient, visit
            made += 1
        patient += 1


def study(patient: int, visit: int, seed: int = 0, size: int = 128) -> Record:
    """One visit of one patient: images `size` pixels square, with everything a record can say of them."""
    fixed = np.random.default_rng([seed, patient, _ANATOMY])
    drawing = np.random.default_rng([seed, patient, _VISIT, visit])
    writing = np.random.default_rng([seed, patient, _WORDS, visit])
    kind = str(fixed.choice(_KINDS, p=_KIND_SHARES))
    dialect, names, modality, draw = {
        "chest": (words.CHEST, chest.FINDINGS, "xray", _chest),
        "head": (words.HEAD, head.FINDINGS, "ct", _head),
        "eye": (words.EYE, eye.FINDINGS, "fundus", _eye),
    }[kind]
    present = _sample(names, drawing)
    pictures = draw(size, present, fixed, drawing)
    first = pictures[0]
    findings, impression, labels = words.report(present, dialect, names, writing)
    premise, hypothesis, relation = words.inference(present, labels, dialect, names, writing)
    drawn = [(f, mask) for f, mask in zip(present, first.lesions, strict=True) if mask.any()]
    return Record(
        study_id=f"p{patient:05d}-v{visit}",
        patient_id=f"p{patient:05d}",
        images=tuple(canvas.png(picture.image) for picture in pictures),
        views=tuple(picture.view for picture in pictures),
        modality=modality,
        body_part=dialect.body_part,
        indication="Follow-up examination." if visit else "First examination.",
        findings=findings,
        impression=impression,
        caption=words.caption(present, dialect, writing),
        labels=labels,
        boxes=np.array([canvas.box(mask) for _, mask in drawn], np.float32).reshape(-1, 4),
        box_classes=tuple(finding.name for finding, _ in drawn),
        masks=tuple(canvas.png(mask) for mask in (*first.organs.values(), *(mask for _, mask in drawn))),
        mask_classes=(*first.organs, *(finding.name for finding, _ in drawn)),
        qa=words.questions(present, dialect, names, writing),
        premise=premise,
        hypothesis=hypothesis,
        relation=relation,
        text=impression,
        text_label="abnormal" if present else "normal",
    )


def _sample(names: tuple[str, ...], rng: np.random.Generator) -> tuple[Finding, ...]:
    """None, one or two findings, no two of which would hide each other; nodules may come in twos and threes."""
    if rng.uniform() < _NORMAL:
        return ()
    count = 2 if rng.uniform() < _SECOND else 1
    chosen = [str(name) for name in rng.choice(names, count, replace=False)]
    if set(chosen) == {"pleural effusion", "pneumothorax"}:
        chosen = chosen[:1]
    sides = rng.permutation(["left", "right"]).tolist()
    zones = rng.permutation(["upper", "lower"]).tolist()
    found = []
    for name, side, zone in zip(chosen, sides, zones, strict=False):
        extent = ("small", "moderate", "large")[int(rng.integers(3))]
        sided = name not in ("cardiomegaly", "hydrocephalus", *eye.FINDINGS)
        zoned = name in ("lung lesion", "consolidation", *eye.FINDINGS)
        uncertain = bool(rng.uniform() < _UNCERTAIN) and name not in ("cardiomegaly", "hydrocephalus", "pneumothorax")
        found.append(Finding(name, side if sided else "", zone if zoned else "", extent, uncertain))
        if name == "lung lesion" and count == 1 and not uncertain and rng.uniform() < 0.4:
            found.append(Finding(name, side, "lower" if zone == "upper" else "upper", extent))
            if rng.uniform() < 0.5:
                found.append(Finding(name, "left" if side == "right" else "right", zone, extent))
    return tuple(found)


def _chest(size, present, fixed, drawing) -> list[canvas.Picture]:
    body = chest.Thorax.sample(fixed)
    return [chest.frontal(size, body, present, drawing), chest.lateral(size, body, present, drawing)]


def _head(size, present, fixed, drawing) -> list[canvas.Picture]:
    return [head.axial(size, head.Head.sample(fixed), present, drawing)]


def _eye(size, present, fixed, drawing) -> list[canvas.Picture]:
    return [eye.fundus(size, eye.Eye.sample(fixed), present, drawing)]
