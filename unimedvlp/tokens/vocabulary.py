"""The layout of the one vocabulary: which ids mean what, fixed for good so that weights stay readable.

The order of the ranges (specials, tasks, modalities, classes, coordinates, image codes, mask codes, text) follows our
reconstruction of UniMed's composed decoder, itself after pix2seq. Text is last, so a tokenizer of any size fits.
"""

import dataclasses
import difflib
from collections.abc import Sequence

from unimedvlp.errors import UserError
from unimedvlp.records import MODALITIES

PAD, BOS, EOS, SEP, NOISE, NEG, POS, UNCERTAIN, BACKGROUND, MASK, UNKNOWN = range(11)
SPECIALS = ("PAD", "BOS", "EOS", "SEP", "NOISE", "NEG", "POS", "UNCERTAIN", "BACKGROUND", "MASK", "UNKNOWN")
TASKS = (
    "classify", "findings", "detect", "segment", "refer", "caption", "report", "summarise", "answer", "infer",
    "text_classify", "image_text_classify", "multimodal_summarise", "retrieve", "reconstruct", "generate_image",
)  # fmt: skip

TASK_START = 16
MODALITY_START = 64
CLASS_START = 128
COORDINATE_START, COORDINATE_BINS = 1024, 1000
IMAGE_CODE_START, IMAGE_CODES = 2048, 1024
MASK_CODE_START, MASK_CODES = 3072, 512
TEXT_START = 4096
MAX_CLASSES = COORDINATE_START - CLASS_START
_ROUND_TO = 128  # the embedding table's rows divide over any usual mesh


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The ids of one model: the fixed layout, its class registry and the size of its text vocabulary.

    `classes` are names in order of registration; their ids never move, so names may only be appended.
    """

    classes: tuple[str, ...]
    text_size: int

    def __post_init__(self):
        if len(set(self.classes)) != len(self.classes):
            raise UserError("class registry: a name occurs twice")
        if len(self.classes) > MAX_CLASSES:
            raise UserError(f"class registry: {len(self.classes)} names, at most {MAX_CLASSES} fit")

    @property
    def size(self) -> int:
        """Rows of the embedding table, a multiple of 128."""
        return -(-(TEXT_START + self.text_size) // _ROUND_TO) * _ROUND_TO

    def task(self, name: str) -> int:
        """The id of a task's name."""
        return TASK_START + _position(TASKS, name, "task")

    def modality(self, name: str) -> int:
        """The id of a modality's name."""
        return MODALITY_START + _position(MODALITIES, name, "modality")

    def class_id(self, name: str) -> int:
        """The id of a class's name."""
        return CLASS_START + _position(self.classes, name, "class")

    def class_name(self, token: int) -> str | None:
        """The class a token stands for, or None for a token of another range."""
        index = int(token) - CLASS_START
        return self.classes[index] if 0 <= index < len(self.classes) else None


def describe(token: int, vocabulary: Vocabulary) -> str:
    """A readable name of one id, for logs and pictures."""
    token = int(token)
    if token < len(SPECIALS):
        return SPECIALS[token]
    for start, names in ((TASK_START, TASKS), (MODALITY_START, MODALITIES), (CLASS_START, vocabulary.classes)):
        if start <= token < start + len(names):
            return names[token - start]
    ranges = (
        ("coordinate", COORDINATE_START, COORDINATE_BINS),
        ("image code", IMAGE_CODE_START, IMAGE_CODES),
        ("mask code", MASK_CODE_START, MASK_CODES),
        ("text", TEXT_START, vocabulary.text_size),
    )
    for name, start, count in ranges:
        if start <= token < start + count:
            return f"{name} {token - start}"
    return f"reserved {token}"


def _position(names: Sequence[str], name: str, kind: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"; nearest: {', '.join(near)}" if near else f"; known: {', '.join(names[:20])}"
        raise UserError(f"unknown {kind} {name!r}{hint}") from None
