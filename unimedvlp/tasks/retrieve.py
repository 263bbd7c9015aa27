"""Image-text retrieval: the text of an image, and the image of a text, among all of the split."""

import dataclasses

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import baselines, retrieval
from unimedvlp.records import Record
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences

TEXTS = tuple(field.name for field in dataclasses.fields(Record) if field.type is str)


@dataclasses.dataclass(frozen=True)
class Retrieve(Task):
    """Find the text of an image and the image of a text. Sequence: text in the context; BOS retrieve modality, no response.

    The pairs that pre-training learns from. `sections` are the record fields that make up the text, joined by spaces.
    Scores are cosines of images alone and texts alone; the first `rerank` of each are ordered anew by how well image and text
    match (0: not at all), which is scored as `matched/...`. Texts that are equal are all right; ties count against the
    system (docs/tasks/retrieval.md).
    """

    name = "retrieve"
    needs = ("images",)
    shows = ("images", "text")
    headline = retrieval.NAMES
    ranks = True
    sections: tuple[str, ...] = ("findings",)
    rerank: int = 0

    def __post_init__(self):
        if unknown := [name for name in self.sections if name not in TEXTS]:
            raise UserError(f"task retrieve: sections: a record has no text {unknown[0]!r}; known: {', '.join(TEXTS)}")

    def sequence(self, record, unit, space, rng=None):
        """Ids of the text."""
        return sequences.pair(space, record.modality, self.text(record))

    def texts(self, record):
        """The text."""
        return (self.text(record),)

    def truth(self, record, unit):
        """The text."""
        return {"text": self.text(record)}

    def grammar(self, space, length):
        """Nothing is written."""

    def metrics(self, predictions, samples, reference):
        """Recall at 1, 5 and 10 in both directions."""
        return [retrieval.recall(predictions, samples.records)]

    def baselines(self, reference, samples):
        """A random order, and the words of the nearest training image's report."""
        texts = samples.column("text")
        chance = np.random.default_rng(0).random((len(texts), len(texts)))
        near = baselines.nearest_image(reference.train.pixels(), reference.train.column("text"), samples.pixels())
        found = {"random order": chance, "words of the nearest image's text": baselines.text_similarity(near, texts)}
        return {title: retrieval.ranked({"": scores}, texts) for title, scores in found.items()}

    def show(self, prediction, truth):
        """The text, and the ranks of text and image."""
        said = f"text at rank {prediction['image_to_text']}, image at rank {prediction['text_to_image']}"
        return {"prediction": said, "truth": truth["text"]}

    def text(self, record) -> str:
        """What is retrieved."""
        return " ".join(part for part in (getattr(record, name).strip() for name in self.sections) if part)

    def serves(self, record):
        """Also asks for a text."""
        return super().serves(record) and bool(self.text(record))


TASK = Retrieve
