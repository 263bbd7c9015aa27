"""Visual question answering: an answer in words to a question about the images."""

import dataclasses

from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Answer(Task):
    """Answer a question. Sequence: question in the context; BOS answer modality -> answer EOS. A unit is a question."""

    name = "answer"
    needs = ("images", "qa")
    shows = ("images", "text")

    def units(self, record):
        """Indices of the record's questions."""
        return range(len(record.qa))

    def sequence(self, record, unit, space):
        """Ids of one question and its answer; both are lower-cased, since case carries nothing here."""
        item = record.qa[unit]
        return sequences.answer(space, record.modality, item.question.lower(), item.answer.lower())

    def truth(self, record, unit):
        """Question, answer, whether it is open or closed, and its topic."""
        item = record.qa[unit]
        return dataclasses.asdict(item) | {"body_part": record.body_part}

    def read(self, response, space):
        """Generated ids -> answer."""
        return sequences.read_text(response, space)


TASK = Answer
