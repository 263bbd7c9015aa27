"""The page of a validation: counts, problems, duplicates side by side, and samples with everything drawn on them."""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from data_pipelines.read import PreparedSplit
from data_pipelines.validate import Validation
from data_pipelines.validate.duplicates import Group
from data_pipelines.validate.pictures import look
from unimedvlp.evaluation.page import Page, Row
from unimedvlp.evaluation.samples import Mark, Sample
from unimedvlp.records import LABEL_VALUES, Record

SIDE = 480  # longest side of an image on the page, pixels
LONGEST = 900  # letters of a text
QUESTIONS = 8  # of a record
GROUPS, COPIES = 8, 4  # groups of duplicates, and images of each
COLOURS = ((255, 140, 40), (70, 190, 255), (120, 230, 110), (255, 95, 130), (200, 140, 255), (255, 225, 70), (60, 220, 200), (230, 180, 140))  # fmt: skip
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
        made.notices([(p.level, _title(p), p.examples) for p in found.problems])
    _counts(made.heading("What it holds"), found)
    sources = {split: PreparedSplit(found.folder, split) for split in found.contents}
    if found.duplicates:
        made.heading("The same picture more than once")
        shown = [_copies(group, sources) for group in found.duplicates[:GROUPS]]
        made.samples(shown, f"{len(found.duplicates):,} groups; {len(shown)} are shown", large=True)
    classes = [contents.box_classes + contents.mask_classes for contents in found.contents.values()]
    names = sorted(set().union(*classes))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    for split, source in sources.items():
        samples = [sample(source[index], colours) for place, index in found.shown if place == split]
        made.heading(f"Samples of {split}").samples(samples, large=True)
    return made


def verdict(found: Validation) -> str:
    """How many problems of each level, in a sentence."""
    levels = [problem.level for problem in found.problems]
    counts = [f"{n} {level}{'s' * (n > 1)}" for level in ("error", "warning", "note") if (n := levels.count(level))]
    return f"{', '.join(counts)}." if counts else "Nothing to report."


def sample(record: Record, colours: Colours) -> Sample:
    """A record with its boxes and masks drawn on image 0 and its other fields beside it."""
    marks = [
        Mark("truth", mask=_mask(m), colour=colours[name])
        for m, name in zip(record.masks, record.mask_classes, strict=True)
    ]
    marks += [
        Mark("truth", box=tuple(map(float, box)), colour=colours[name])
        for box, name in zip(record.boxes, record.box_classes, strict=True)
    ]
    drawn = sorted({*record.box_classes, *record.mask_classes})
    views = [view or f"view {i}" for i, view in enumerate(record.views)]
    legend = {name: colours[name] for name in drawn}
    readable = [i for i, image in enumerate(record.images) if not look(image).fault]
    return Sample(
        [record.images[i] for i in readable], dict(_fields(record)), marks if 0 in readable else (),
        [views[i] for i in readable], legend, SIDE,
    )  # fmt: skip


def _fields(record: Record) -> Iterator[tuple[str, str]]:
    who = f"{record.study_id}, patient {record.patient_id}" if record.patient_id else record.study_id
    yield "study", f"{who}, {' '.join(filter(None, (record.modality, record.body_part)))}"
    for value in reversed(LABEL_VALUES):
        if names := [name for name, given in record.labels.items() if given == value]:
            yield value, ", ".join(names)
    for field in (
        "indication",
        "findings",
        "impression",
        "caption",
        "premise",
        "hypothesis",
        "relation",
        "text",
        "text_label",
    ):
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
        key: {split: getattr(c, key) for split, c in splits.items()}
        for key in ("records", "images", "boxes", "masks", "questions")
    }
    rows["patients"] = {split: len(c.patients) for split, c in splits.items()}
    if found.summary and found.summary.expected:
        rows[f"{found.summary.counted}, expected"] = {s: found.summary.expected.get(s) for s in splits}
    fields = sorted(set().union(*(c.fields for c in splits.values())))
    rows |= {f"with {field.replace('_', ' ')}": {s: c.fields[field] for s, c in splits.items()} for field in fields}
    made.table(
        [Row(name, cells) for name, cells in rows.items() if any(cells.values())], "Counts of every split", best=None
    )
    for kind, name in (("views", "Views"), ("box_classes", "Boxes by class"), ("mask_classes", "Masks by class"),
                       ("text_labels", "Texts by label"), ("modalities", "Records by modality"), ("sizes", "Images by size (height x width)")):  # fmt: skip
        total = sum((getattr(c, kind) for c in splits.values()), start=type(next(iter(splits.values())).views)())
        if total:
            made.table(
                [
                    Row(key or "not named", {s: getattr(c, kind)[key] for s, c in splits.items()})
                    for key, _ in total.most_common(20)
                ],
                name,
                best=None,
            )
    labels = defaultdict(dict)
    for split, contents in splits.items():
        for label, values in contents.labels.items():
            labels[label] |= {f"{split} {value}": values[value] for value in reversed(LABEL_VALUES) if values[value]}
    if labels:
        made.table([Row(name, cells) for name, cells in sorted(labels.items())], "Labels", best=None)


def _copies(group: Group, sources: Mapping[str, PreparedSplit]) -> Sample:
    places = group.places[:COPIES]
    images = [sources[place.split][place.index].images[place.view] for place in places]
    captions = [f"{place.split} {place.study_id} view {place.view}" for place in places]
    said = f"{len(group.places)} images, {'equal in all pixels' if group.exact else 'nearly equal'}"
    return Sample(images, {"copies": said}, captions=captions, side=SIDE)


def _title(problem) -> str:
    where = " ".join(filter(None, (problem.split, problem.field)))
    return f"{problem.message}: {problem.count:,}" + f" ({where})" * bool(where)


def _mask(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")) > 0


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "\u2026"
