"""Visual question answering: an answer in words to a question about the images."""

import dataclasses

from unimedvlp.evaluation import baselines, vqa
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Answer(Task):
    """Answer a question. Sequence: BOS answer modality question SEP -> answer EOS. A unit is a question.

    `encoded`: the text encoder reads the question beside the image, and the prompt is only BOS answer modality.
    """

    name = "answer"
    needs = ("images", "qa")
    headline = ("accuracy_all", "accuracy_open", "accuracy_closed", "f1_open")
    encoded: bool = False

    @property
    def shows(self):
        """The images, and the question where the encoder reads it."""
        return ("images", "text") if self.encoded else ("images",)

    def units(self, record):
        """Indices of the record's questions."""
        return range(len(record.qa))

    def sequence(self, record, unit, space, rng=None):
        """Ids of one question and its answer; both are lower-cased, since case carries nothing here."""
        item = record.qa[unit]
        return sequences.answer(space, record.modality, item.question.lower(), item.answer.lower(), self.encoded)

    def texts(self, record):
        """All questions and answers, lower-cased."""
        return [text.lower() for item in record.qa for text in (item.question, item.answer)]

    def truth(self, record, unit):
        """Question, answer, whether it is open or closed, its topic, and the body part shown."""
        return dataclasses.asdict(record.qa[unit]) | {"body_part": record.body_part}

    def read(self, response, space):
        """Generated ids -> answer."""
        return sequences.read_text(response, space)

    def metrics(self, predictions, samples, reference):
        """Exact match after normalisation (open, closed, all), token F1 and recall of open answers; intervals over images."""
        said = [text or "" for text in predictions]
        return [vqa.accuracy(said, samples.column("answer"), samples.column("kind"), samples.records)]

    def baselines(self, reference, samples):
        """Majority answers, the nearest question's answer and a question-only regression: none sees an image."""
        train = reference.train
        answers = train.column("answer")
        asked, known = _with_organ(samples), _with_organ(train)
        return {
            "majority by answer type": baselines.majority_answer(train.column("kind"), answers, samples.column("kind")),
            "majority by topic": baselines.majority_answer(train.column("topic"), answers, samples.column("topic")),
            "nearest question": baselines.nearest_text(known, answers, asked),
            "question-only regression": baselines.question_only(known, answers, asked),
        }

    def show(self, prediction, truth):
        """Question and both answers."""
        return {"question": truth["question"], "prediction": prediction or "", "truth": truth["answer"]}


def _with_organ(samples):
    return [f"{truth['question']} {truth['body_part']}".lower() for truth in samples.truths]


TASK = Answer
