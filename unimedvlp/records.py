"""The one record: what a study may carry, whichever data set it came from.

Every field but `study_id` is optional; absent text is "", absent lists are empty. Tasks say which fields they need, and the
mixture offers a record only to the tasks that it can serve. Boxes are `[N, 4]` (ymin xmin ymax xmax) in 0..1 of image 0;
masks are encoded PNG images of image 0's size or a smaller one of the same shape, one an object. Codes are what
`unimedvlp codes` makes of image 0 and of the masks: `[n]` of the image, and as many of each mask, one after the other.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from unimedvlp.errors import UserError

POSITIVE, NEGATIVE, UNCERTAIN = "positive", "negative", "uncertain"  # a label not in the record is unmentioned
LABEL_VALUES = (NEGATIVE, POSITIVE, UNCERTAIN)
ANSWER_TYPES = ("open", "closed", "")
MODALITIES = (
    "other", "xray", "ct", "mr", "ultrasound", "endoscopy", "dermoscopy", "fundus", "oct", "pathology", "microscopy",
    "nuclear", "mammography", "angiography", "text",
)  # fmt: skip
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclasses.dataclass(frozen=True)
class Question:
    """One question about a study; `kind` is "open", "closed" (yes/no or a choice) or "" where the source does not say."""

    question: str
    answer: str
    kind: str = ""
    topic: str = ""  # the source's own question type, such as "presence" or "plane"


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """A study, or a sample of any other kind, with whatever its source says about it."""

    study_id: str
    patient_id: str = ""
    images: tuple[bytes, ...] = ()  # encoded PNG or JPEG, one a view
    views: tuple[str, ...] = ()  # "frontal", "lateral", ... as long as images
    modality: str = "other"
    body_part: str = ""
    indication: str = ""
    findings: str = ""
    impression: str = ""
    caption: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)  # name -> positive | negative | uncertain
    boxes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4), np.float32))
    box_classes: tuple[str, ...] = ()
    masks: tuple[bytes, ...] = ()  # encoded PNG, non-zero = inside
    mask_classes: tuple[str, ...] = ()
    qa: tuple[Question, ...] = ()
    premise: str = ""
    hypothesis: str = ""
    relation: str = ""  # entailment | neutral | contradiction
    text: str = ""
    text_label: str = ""
    source: str = ""  # data set and file that it came from
    licence: str = ""
    image_codes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))  # int [n]
    mask_codes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))  # int [masks * m]

    def __eq__(self, other: object) -> bool:
        names = [field.name for field in dataclasses.fields(self)]
        return isinstance(other, Record) and all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)

    @property
    def patient(self) -> str:
        """The unit that splits keep together: the patient, or the study where the source names no patient."""
        return self.patient_id or self.study_id


def problems(record: Record) -> list[str]:
    """Everything wrong with a record, one line each naming the field; empty for a sound one."""
    found = []
    if not record.study_id:
        found.append("study_id is empty")
    if len(record.images) != len(record.views):
        found.append(f"views: {len(record.views)} names for {len(record.images)} images")
    for field in ("images", "masks"):
        for i, data in enumerate(getattr(record, field)):
            if not data.startswith(_SIGNATURES):
                found.append(f"{field}[{i}] is neither PNG nor JPEG ({len(data)} bytes)")
    if record.modality not in MODALITIES:
        found.append(f"modality {record.modality!r} is not one of {', '.join(MODALITIES)}")
    found += [
        f"labels[{k!r}] is {v!r}, not one of {LABEL_VALUES}" for k, v in record.labels.items() if v not in LABEL_VALUES
    ]
    boxes = np.asarray(record.boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        found.append(f"boxes have shape {boxes.shape}, expected [N, 4]")
    else:
        if len(boxes) != len(record.box_classes):
            found.append(f"box_classes: {len(record.box_classes)} names for {len(boxes)} boxes")
        if not np.all(np.isfinite(boxes)) or np.any(boxes < 0) or np.any(boxes > 1):
            found.append("boxes reach outside the image (expected ymin xmin ymax xmax in 0..1)")
        elif np.any(boxes[:, 2:] <= boxes[:, :2]):
            found.append("boxes are empty (ymax <= ymin or xmax <= xmin)")
    if len(record.masks) != len(record.mask_classes):
        found.append(f"mask_classes: {len(record.mask_classes)} names for {len(record.masks)} masks")
    found += _code_problems(record)
    for i, item in enumerate(record.qa):
        if not item.question.strip() or not item.answer.strip():
            found.append(f"qa[{i}] has an empty question or answer")
        if item.kind not in ANSWER_TYPES:
            found.append(f"qa[{i}].kind is {item.kind!r}, not one of {ANSWER_TYPES}")
    has_content = record.images or any(
        (record.findings, record.impression, record.caption, record.text, record.premise)
    )
    if not has_content:
        found.append("neither an image nor any text")
    return found


def _code_problems(record: Record) -> list[str]:
    found = []
    for field, pictures in (("image_codes", min(len(record.images), 1)), ("mask_codes", len(record.masks))):
        codes = np.asarray(getattr(record, field))
        if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
            found.append(f"{field} are {codes.dtype} of shape {codes.shape}, expected integers [n]")
        elif np.any(codes < 0):
            found.append(f"{field} hold a number below 0")
        elif len(codes) and (not pictures or len(codes) % pictures):
            found.append(f"{field}: {len(codes)} codes for {pictures} pictures")
    return found


def check(record: Record) -> Record:
    """The record itself, or a `UserError` that lists what is wrong with it."""
    if found := problems(record):
        raise UserError(f"record {record.study_id!r}: " + "; ".join(found))
    return record


def features() -> Any:
    """The TFDS schema of a record. Images and masks are stored as their encoded bytes."""
    import tensorflow_datasets as tfds

    def strings():
        return tfds.features.Sequence(tfds.features.Text())

    text_fields = [f.name for f in dataclasses.fields(Record) if f.type is str]
    return tfds.features.FeaturesDict(
        {name: tfds.features.Text() for name in text_fields}
        | {name: strings() for name in ("images", "views", "box_classes", "masks", "mask_classes")}
        | {
            "labels": tfds.features.Sequence({"name": tfds.features.Text(), "value": tfds.features.Text()}),
            "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
            "image_codes": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "mask_codes": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "qa": tfds.features.Sequence(
                {key: tfds.features.Text() for key in ("question", "answer", "kind", "topic")}
            ),
        }
    )


def to_example(record: Record) -> dict[str, Any]:
    """A record as the nested dict that the TFDS schema encodes."""
    example = {f.name: getattr(record, f.name) for f in dataclasses.fields(Record)}
    example["labels"] = [{"name": name, "value": value} for name, value in record.labels.items()]
    example["boxes"] = np.asarray(record.boxes, np.float32)
    for name in ("image_codes", "mask_codes"):
        example[name] = np.asarray(getattr(record, name), np.int32)
    example["qa"] = [dataclasses.asdict(item) for item in record.qa]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in example.items()}


def from_example(example: Mapping[str, Any]) -> Record:
    """The inverse of `to_example` for an example as a TFDS data source yields it (bytes and arrays).

    A field that the example lacks, since it was written before the field was thought of, keeps its default.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Record):
        if field.name not in example:
            continue
        value = example[field.name]
        if field.name in ("images", "masks"):
            values[field.name] = tuple(bytes(item) for item in value)
        elif field.name in ("views", "box_classes", "mask_classes"):
            values[field.name] = tuple(_text(item) for item in value)
        elif field.name == "labels":
            values["labels"] = {_text(n): _text(v) for n, v in zip(value["name"], value["value"], strict=True)}
        elif field.name == "qa":
            columns = (value["question"], value["answer"], value["kind"], value["topic"])
            values["qa"] = tuple(Question(*map(_text, row)) for row in zip(*columns, strict=True))
        elif field.name in ("image_codes", "mask_codes"):
            values[field.name] = np.asarray(value, np.int32)
        elif field.name == "boxes":
            values["boxes"] = np.asarray(value, np.float32).reshape(-1, 4)
        else:
            values[field.name] = _text(value)
    return Record(**values)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
