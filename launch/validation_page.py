"""The page of a validation: counts, problems, duplicates side by side, and samples with everything drawn on them."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from data_pipelines.read import PreparedSplit
from data_pipelines.validate import Validation
from data_pipelines.validate.duplicates import Group
from data_pipelines.validate.pictures import look, stencil
from data_pipelines.validate.problems import Problem, by_kind
from launch.summary import TOLD_ELSEWHERE
from unimedvlp.evaluation.page import Page, Row
from unimedvlp.evaluation.samples import Mark, Sample
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record

SIDE = 480  # longest side of an image on the page, pixels
LONGEST = 900  # letters of a text
QUESTIONS = 8  # of a record
GROUPS, COPIES = 8, 4  # groups of duplicates, and images of each
VALUES = (POSITIVE, NEGATIVE, UNCERTAIN)
MOST = 8  # rows of a kind
DETAILS = {
    "modality": "modalities", "view": "views", "box": "box_classes", "mask": "mask_classes", "text label": "text_labels",
    "size": "sizes",
}  # fmt: skip
COLOURS = ((255, 140, 40), (70, 190, 255), (120, 230, 110), (255, 95, 130), (200, 140, 255), (255, 225, 70), (60, 220, 200), (230, 180, 140))  # fmt: skip
TEXTS = ("indication", "findings", "impression", "caption", "premise", "hypothesis", "relation", "text", "text_label")
Colours = Mapping[str, tuple[int, int, int]]


def page(found: Validation) -> Page:
    """The page of one prepared data set; its `write` makes a single file."""
    about = found.summary
    title = f"{about.name}, {about.protocol}" if about else found.name
    made = Page(title, f"{about.about}. Licence: {about.licence}. Version {about.version}." if about else "")
    made.text(
        verdict(found) + (f"\n\nThis split shares patients or images: {about.leaks}." if about and about.leaks else "")
    )
    if found.problems:
        made.notices([(kind.level, _title(kind, splits), kind.examples) for kind, splits in by_kind(found.problems)])
    _counts(made.heading("What it holds"), found)
    sources = {split: PreparedSplit(found.folder, split) for split in found.contents}
    if found.duplicates:
        made.heading("The same picture more than once")
        shown = [_copies(group, sources) for group in found.duplicates[:GROUPS]]
        made.samples(shown, f"Shown: {len(shown)} of {len(found.duplicates):,}.", large=True)
    classes = [contents.box_classes + contents.mask_classes for contents in found.contents.values()]
    names = sorted(set().union(*classes))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    for split, source in sources.items():
        samples = [sample(source[index], colours) for place, index in found.shown if place == split]
        made.heading(f"Samples of {split}").samples(samples, large=True)
    return made


def verdict(found: Validation) -> str:
    """How many problems of each level, in a sentence."""
    levels = [kind.level for kind, _ in by_kind(found.problems)]
    counts = [f"{n} {level}{'s' * (n > 1)}" for level in ("error", "warning", "note") if (n := levels.count(level))]
    return f"{', '.join(counts)}." if counts else "Nothing to report."


def sample(record: Record, colours: Colours) -> Sample:
    """A record with its boxes and masks drawn on image 0 and its other fields beside it; what is broken is not drawn."""
    marks = [
        Mark("truth", mask=_mask(data), colour=colours[name])
        for data, name in zip(record.masks, record.mask_classes, strict=False)
        if not stencil(data).fault
    ]
    marks += [
        Mark("truth", box=tuple(map(float, box)), colour=colours[name])
        for box, name in zip(record.boxes, record.box_classes, strict=False)
        if box[2] > box[0] and box[3] > box[1]
    ]
    drawn = sorted({*record.box_classes, *record.mask_classes})
    views = ["" if view == "unknown" else view for view in record.views]
    legend = {name: colours[name] for name in drawn}
    readable = [i for i, image in enumerate(record.images) if not look(image).fault]
    return Sample(
        [record.images[i] for i in readable], dict(_fields(record)), marks if 0 in readable else (),
        [views[i] for i in readable], legend, SIDE,
    )  # fmt: skip


def _fields(record: Record) -> Iterator[tuple[str, str]]:
    patient = f"patient {record.patient_id}" * (record.patient_id not in ("", record.study_id))
    kind = " ".join(filter(None, (record.modality, record.body_part)))
    yield "study", ", ".join(filter(None, (record.study_id, patient, kind)))
    for value in VALUES:
        if names := [name for name, given in record.labels.items() if given == value]:
            yield value, ", ".join(names)
    for field in TEXTS:
        if text := getattr(record, field):
            yield field.replace("_", " "), _short(text)
    if record.qa:
        lines = [f"{item.question} \u2192 {item.answer}" + f" ({item.kind})" * bool(item.kind) for item in record.qa]
        more = len(lines) - QUESTIONS
        yield "questions", "\n".join(map(_short, lines[:QUESTIONS])) + (f"\nand {more} more" if more > 0 else "")
    yield "source", ", ".join(filter(None, (record.source, record.licence)))


def _counts(made: Page, found: Validation) -> None:
    splits = found.contents
    rows = {
        key: {split: getattr(contents, key) for split, contents in splits.items()}
        for key in ("records", "images", "boxes", "masks", "questions")
    }
    rows["patients"] = {split: len(contents.patients) for split, contents in splits.items()}
    if found.summary and found.summary.expected:
        rows[f"{found.summary.counted}, expected"] = {split: found.summary.expected.get(split) for split in splits}
    fields = set().union(*(contents.fields for contents in splits.values())).difference(TOLD_ELSEWHERE)
    rows |= {
        f"with {field.replace('_', ' ')}": {split: contents.fields[field] for split, contents in splits.items()}
        for field in sorted(fields)
    }
    _table(made, "Counts", rows)
    rows = {}
    for name, kind in DETAILS.items():
        total = sum((getattr(contents, kind) for contents in splits.values()), Counter())
        for key, _ in total.most_common(MOST):
            rows[f"{name} {key or 'not named'}"] = {split: getattr(c, kind)[key] for split, c in splits.items()}
    _table(made, "Kinds", rows)
    rows = {}
    for split, contents in splits.items():
        for label, values in sorted(contents.labels.items()):
            rows.setdefault(label, {})[split] = " / ".join(f"{values[value]:,}" for value in VALUES)
    _table(made, f"Labels: {' / '.join(VALUES)}", rows)


def _table(made: Page, caption: str, rows: Mapping[str, Mapping[str, int | str | None]]) -> None:
    if rows := [Row(name, cells) for name, cells in rows.items() if any(cells.values())]:
        made.table(rows, caption, best=None)


def _copies(group: Group, sources: Mapping[str, PreparedSplit]) -> Sample:
    places = group.places[:COPIES]
    images = [sources[place.split][place.index].images[place.view] for place in places]
    captions = [f"{place.split} {place.study_id} view {place.view}" for place in places]
    said = f"{len(group.places)} images, {'equal in all pixels' if group.exact else 'nearly equal'}"
    return Sample(images, {"copies": said}, captions=captions, side=SIDE)


def _title(kind: Problem, splits: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count:,} in {split}" for split, count in splits.items()) or f"{kind.count:,}"
    return f"{kind.message} ({kind.field.replace('_', ' ')}): {counts}" if kind.field else f"{kind.message}: {counts}"


def _mask(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")) > 0


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "\u2026"
