"""What a phantom's radiologist writes: findings, impression, caption, statements and questions, all true of the drawing."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from data_pipelines.synthetic.canvas import Finding
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Question


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How one kind of study is spoken of. `absent` says of each finding that it is not there; `noun` is how it is called."""

    picture: str
    body_part: str
    plane: str
    modality_name: str
    noun: dict[str, str]
    absent: dict[str, tuple[str, ...]]
    normal: tuple[str, ...]
    be: str = "is"


CHEST = Dialect(
    picture="Frontal and lateral chest radiographs",
    body_part="chest",
    plane="frontal",
    modality_name="x-ray",
    noun={
        "cardiomegaly": "cardiomegaly",
        "pleural effusion": "pleural effusion",
        "lung lesion": "nodule",
        "consolidation": "consolidation",
        "pneumothorax": "pneumothorax",
    },
    absent={
        "cardiomegaly": ("The heart is normal in size.", "Heart size is within normal limits.", "No cardiomegaly."),
        "pleural effusion": ("No pleural effusion.", "There is no pleural effusion.", "No effusion is seen."),
        "lung lesion": ("No pulmonary nodule.", "There is no suspicious lung nodule.", "No nodule or mass."),
        "consolidation": (
            "No focal consolidation.",
            "There is no consolidation.",
            "The lungs are without consolidation.",
        ),
        "pneumothorax": ("No pneumothorax.", "There is no pneumothorax.", "No evidence of pneumothorax."),
    },
    normal=("No acute cardiopulmonary abnormality.", "Normal chest.", "No acute disease."),
)
HEAD = Dialect(
    picture="Axial CT of the head",
    body_part="head",
    plane="axial",
    modality_name="ct",
    noun={"hemorrhage": "hemorrhage", "hydrocephalus": "hydrocephalus"},
    absent={
        "hemorrhage": ("No intracranial hemorrhage.", "There is no acute hemorrhage.", "No hyperdense hemorrhage."),
        "hydrocephalus": ("No hydrocephalus.", "There is no hydrocephalus.", "The ventricles show no hydrocephalus."),
    },
    normal=("Normal CT of the head.", "No acute intracranial abnormality.", "Unremarkable study."),
)
EYE = Dialect(
    picture="Red-free fundus photograph",
    body_part="eye",
    plane="fundus",
    modality_name="fundus photograph",
    noun={"exudates": "hard exudates", "retinal hemorrhage": "retinal hemorrhages"},
    absent={
        "exudates": ("No hard exudates.", "There are no exudates.", "No exudates are seen."),
        "retinal hemorrhage": (
            "No retinal hemorrhages.",
            "There are no retinal hemorrhages.",
            "No hemorrhage of the retina.",
        ),
    },
    normal=("Normal fundus.", "No signs of retinopathy.", "Healthy retina."),
    be="are",
)


_OF_HEART = {"small": "mild", "moderate": "moderate", "large": "severe"}


def noun_phrase(finding: Finding, dialect: Dialect) -> str:
    """A finding with its extent and place: "a small nodule in the left upper lung"."""
    noun, extent = dialect.noun[finding.name], finding.extent
    if finding.name == "cardiomegaly":
        return f"{_OF_HEART[extent]} cardiomegaly"
    if finding.name == "lung lesion":
        return f"a {extent} nodule in the {finding.side} {finding.zone} lung"
    if finding.name == "consolidation":
        return f"consolidation in the {finding.side} {finding.zone} lung"
    if finding.name == "hemorrhage":
        return f"a {extent} hemorrhage in the {finding.side} hemisphere"
    if finding.name == "hydrocephalus":
        return "hydrocephalus with enlarged ventricles"
    if dialect is EYE:
        return f"{noun} in the {'superior' if finding.zone == 'upper' else 'inferior'} retina"
    return f"a {extent} {finding.side} {noun}"


def _hedged(finding: Finding, dialect: Dialect) -> str:
    phrase = noun_phrase(finding, dialect)
    return "possible " + phrase.removeprefix("a ") if finding.uncertain else phrase


def report(
    present: Sequence[Finding], dialect: Dialect, names: Sequence[str], rng: np.random.Generator
) -> tuple[str, str, dict[str, str]]:
    """(findings, impression, labels); each absent finding is mentioned two times in three, and only then labelled."""
    pick = _picker(rng)
    sentences, labels = [], {}
    for finding in present:
        if finding.uncertain:
            form = pick("Possible {bare}.", "There may be {phrase}.", "Findings are suspicious for {phrase}.")
        else:
            form = pick(
                "There {be} {phrase}.", "{phrase} {be} seen.", "{phrase} {be} present.", "The study shows {phrase}."
            )
        phrase = noun_phrase(finding, dialect)
        sentences.append(_capital(form.format(phrase=phrase, bare=phrase.removeprefix("a "), be=dialect.be)))
        value = UNCERTAIN if finding.uncertain else POSITIVE
        labels[finding.name] = POSITIVE if POSITIVE in (value, labels.get(finding.name)) else UNCERTAIN
    absent = [name for name in names if name not in labels and (rng.uniform() < 2 / 3 or not present)]
    for name in rng.permutation(absent).tolist():
        sentences.append(pick(*dialect.absent[name]))
        labels[name] = NEGATIVE
    if not present:
        return " ".join(sentences), pick(*dialect.normal), labels
    conclusions = [_capital(_hedged(f, dialect)) + "." for f in present]
    return " ".join(sentences), " ".join(conclusions), labels


def caption(present: Sequence[Finding], dialect: Dialect, rng: np.random.Generator) -> str:
    """One sentence that names the picture and what it shows."""
    phrases = [_hedged(f, dialect) for f in present]
    shown = " and ".join(phrases) if phrases else "no abnormality"
    return f"{dialect.picture} {_picker(rng)('showing', 'with', 'demonstrating')} {shown}."


def inference(
    present: Sequence[Finding], labels: dict[str, str], dialect: Dialect, names: Sequence[str], rng: np.random.Generator
) -> tuple[str, str, str]:
    """(premise, hypothesis, relation): the premise is one statement of the report, the hypothesis claims a finding."""
    certain = [f for f in present if not f.uncertain]
    denied = [name for name, value in labels.items() if value == NEGATIVE]
    relation = ("entailment", "contradiction", "neutral")[int(rng.integers(3))]
    if certain and (rng.uniform() < 0.5 or not denied):
        finding = certain[int(rng.integers(len(certain)))]
        premise, about, there = _capital(noun_phrase(finding, dialect)) + f" {dialect.be} seen.", finding.name, True
    elif denied:
        about = denied[int(rng.integers(len(denied)))]
        premise, there = _picker(rng)(*dialect.absent[about]), False
    else:
        return "", "", ""
    if relation == "neutral":
        about = _picker(rng)(*[name for name in names if name != about])
        there = bool(rng.uniform() < 0.5)
    claim = there if relation != "contradiction" else not there
    noun = dialect.noun[about]
    return premise, f"The patient has {noun}." if claim else f"The patient has no {noun}.", relation


def questions(
    present: Sequence[Finding], dialect: Dialect, names: Sequence[str], rng: np.random.Generator
) -> tuple[Question, ...]:
    """Questions on modality, plane, organ, presence, side, zone and count. Presence asks as often after absent findings."""
    pick = _picker(rng)
    sure = [f for f in present if not f.uncertain]
    asked = [
        Question(pick("What imaging modality is this?", "How was this image taken?"), dialect.modality_name, "open", "modality"),
        Question(pick("What body part is shown?", "Which organ system is imaged?"), dialect.body_part, "open", "organ"),
        Question(pick("What is the plane of the first image?", "Which view is the first image?"), dialect.plane, "open", "plane"),
    ]  # fmt: skip
    there = sorted({f.name for f in sure})
    missing = [name for name in names if name not in {f.name for f in present}]
    presence = pick("Is there any {}?", "Does the study show {}?", "Is there evidence of {}?")
    if there:
        asked.append(Question(presence.format(dialect.noun[pick(*there)]), "yes", "closed", "presence"))
    if missing:
        asked.append(Question(presence.format(dialect.noun[pick(*missing)]), "no", "closed", "presence"))
    if len(sure) == len(present):
        normal = pick("Is this study normal?", "Is the image normal?")
        asked.append(Question(normal, "no" if present else "yes", "closed", "abnormality"))
    if len(present) == len(sure) <= 1:
        what = dialect.noun[sure[0].name] if sure else "none"
        asked.append(
            Question(pick("What abnormality is seen?", "What is the main finding?"), what, "open", "abnormality")
        )
    for name in there:
        sides = {f.side for f in present if f.name == name}
        if sides <= {"left", "right"}:
            side = "both" if len(sides) == 2 else sides.pop()
            asked.append(Question(f"On which side is the {dialect.noun[name]}?", side, "open", "side"))
    if dialect is CHEST and all(f.name != "lung lesion" for f in present if f.uncertain):
        count = sum(f.name == "lung lesion" for f in sure)
        asked.append(
            Question(pick("How many nodules are there?", "What is the number of nodules?"), str(count), "open", "count")
        )
    return tuple(asked)


def _picker(rng: np.random.Generator) -> Callable[..., str]:
    return lambda *options: options[int(rng.integers(len(options)))]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
