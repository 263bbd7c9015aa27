"""The checks of one record: its fields, images, boxes, masks and texts."""

from collections import Counter, defaultdict

import numpy as np

from data_pipelines.annotations import SHAPE_TOLERANCE
from data_pipelines.validate import texts
from data_pipelines.validate.contents import texts as texts_of
from data_pipelines.validate.pictures import Look, Stencil
from data_pipelines.validate.problems import EXAMPLES, Problems
from unimedvlp.records import Record, problems


def check_record(found: Problems, split: str, record: Record) -> None:
    """What no record may be: classes without names, values that do not exist, boxes outside of the image or empty."""
    for line in problems(record):
        field = line.replace("[", " ").replace(":", " ").split()[0]
        known = field in record.__dataclass_fields__
        found.add("error", "not a sound record", split, field if known else "", f"{record.study_id}: {line}")


def check_images(found: Problems, split: str, record: Record, looks: list[Look]) -> None:
    """Images that cannot be read, hold one colour only, or are shown turned by viewers but not to models."""
    for view, seen in enumerate(looks):
        where = f"{record.study_id}, view {view}"
        if seen.fault:
            found.add("error", "unreadable image", split, "images", f"{where}: {seen.fault}")
        elif seen.constant:
            found.add("warning", "image of one colour", split, "images", f"{where}: {seen.height} x {seen.width}")
        if seen.turned:
            found.add("warning", "image that viewers turn by its EXIF tag", split, "images", where)


def check_boxes(found: Problems, split: str, record: Record, first: Look | None) -> None:
    """Boxes without an image, thinner than a pixel, or given twice."""
    boxes = np.asarray(record.boxes, np.float64).reshape(-1, 4)
    if len(boxes) and not record.images:
        found.add("error", "boxes without an image", split, "boxes", record.study_id)
    if first is not None and not first.fault:
        sides = (boxes[:, 2:] - boxes[:, :2]) * (first.height, first.width)
        for height, width in sides[(sides < 0.99).any(1) & (sides > 0).all(1)]:
            where = f"{record.study_id}: {height:.2f} x {width:.2f} pixels"
            found.add("warning", "box thinner than a pixel", split, "boxes", where)
    for (name, *_), count in Counter(zip(record.box_classes, map(tuple, boxes), strict=False)).items():
        if count > 1:
            found.add("warning", "box given twice", split, "boxes", f"{record.study_id}: {name}", count=count - 1)


def check_masks(found: Problems, split: str, record: Record, masks: list[Stencil], looks: list[Look]) -> None:
    """Masks that cannot be read, are empty, or do not have the shape of image 0, at whatever size."""
    for i, mask in enumerate(masks):
        name = record.mask_classes[i] if i < len(record.mask_classes) else i
        where = f"{record.study_id}, {name}"
        if mask.fault:
            found.add("error", "unreadable mask", split, "masks", f"{where}: {mask.fault}")
        elif not looks:
            found.add("error", "mask without an image", split, "masks", where)
        elif not looks[0].fault and not _fits(mask, looks[0]):
            sizes = f"{mask.height} x {mask.width} on {looks[0].height} x {looks[0].width}"
            found.add("error", "mask of another shape than its image", split, "masks", f"{where}: {sizes}")
        elif not mask.inside:
            found.add("error", "empty mask", split, "masks", where)


def _fits(mask: Stencil, image: Look) -> bool:
    """Whether both have the same shape, up to the tolerance of builders and the rounding of one pixel."""
    off = mask.width * image.height / (mask.height * image.width) - 1
    return abs(off) <= max(SHAPE_TOLERANCE, 1 / mask.width, 1 / mask.height)


class TextChecks:
    """The checks of texts; what is another language is known only when all texts have been seen."""

    def __init__(self, found: Problems):
        self._found = found
        self._languages: dict[tuple[str, str], Counter] = defaultdict(Counter)  # (field, language): splits
        self._examples: dict[tuple[str, str, str], list[str]] = defaultdict(list)  # (split, field, language)

    def add(self, split: str, record: Record) -> None:
        """Check every text of a record."""
        for field, text in texts_of(record):
            where = f"{record.study_id}: "
            if texts.empty(text):
                self._found.add("warning", "text without a word", split, field, where + repr(text))
            if place := texts.damage(text):
                self._found.add("warning", "damaged encoding", split, field, where + place)
            for kind, place in texts.residue(text).items():
                self._found.add("warning", f"looks like {kind}", split, field, where + place)
            for kind, place in texts.residue(text, texts.COUNTED).items():
                self._found.add("note", f"texts with {kind}", split, field, where + place)
            if spoken := texts.language(text):
                self._languages[field, spoken][split] += 1
                examples = self._examples[split, field, spoken]
                if len(examples) < EXAMPLES:
                    examples.append(where + " ".join(text.split())[:80])

    def close(self) -> None:
        """Report texts that are not in the language of most texts of their field."""
        usual: dict[str, tuple[int, str]] = {}
        for (field, spoken), splits in self._languages.items():
            usual[field] = max(usual.get(field, (0, "")), (splits.total(), spoken))
        for (field, spoken), splits in self._languages.items():
            if spoken != usual[field][1]:
                message = f"looks like {spoken}, most are {usual[field][1]}"
                for split, count in splits.items():
                    self._found.add("warning", message, split, field, self._examples[split, field, spoken], count)
