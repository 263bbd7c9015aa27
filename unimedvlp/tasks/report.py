"""Report generation: the findings of a study from its images."""

import dataclasses

import numpy as np

from unimedvlp.evaluation import baselines, bootstrap, captioning, text_cleaning
from unimedvlp.evaluation.findings import finding_f1
from unimedvlp.records import POSITIVE
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import grammar, sequences


@dataclasses.dataclass(frozen=True)
class Report(Task):
    """Write a section of the report. Sequence: BOS report modality -> text EOS.

    `clean="r2gen"` trains on and compares text as the IU X-Ray literature does (see `text_cleaning`); "" trains on the text
    as it is. Scores always compare cleaned text, with words rarer than 3 in training replaced and references cut at
    `max_words` (0 keeps all), as that protocol has it.

    With `plan`, names of findings, the response begins with those of them that the record is labelled with: class* SEP text
    EOS. A report can then be written from findings that were decided with care (see `evaluation/planned.py`); left to itself a
    decoder seldom writes of a rare finding, since a report without it is likelier.
    """

    name = "report"
    needs = ("images", "findings")
    shows = ("images",)
    headline = ("bleu_1", "bleu_4", "rouge_l", "cider", "f1_macro", "f1_micro", "distinct")
    descriptive = ("distinct",)
    clean: str = ""
    max_words: int = 60
    plan: tuple[str, ...] = ()

    def sequence(self, record, unit, space, rng=None):
        """Prompt and response ids: the findings section, behind the plan if there is one."""
        positive = [name for name in self.plan if record.labels.get(name) == POSITIVE] if self.plan else None
        return sequences.report(space, record.modality, self.text(record), positive)

    def grammar(self, space, length):
        """Text, and the plan before it."""
        return grammar.build(space.vocabulary, self.name, length=length, planned=bool(self.plan))

    def texts(self, record):
        """The findings section."""
        return (self.text(record),)

    def truth(self, record, unit):
        """The findings section, in the form that the model is asked for, and the labels where these are planned with."""
        return {"report": self.text(record)} | ({"labels": dict(record.labels)} if self.plan else {})

    def read(self, response, space):
        """Generated ids -> text, without the plan."""
        return sequences.read_report(response, space)

    def metrics(self, predictions, samples, reference):
        """BLEU-1..4, ROUGE-L, CIDEr; precision, recall and F1 of abnormal findings; how many reports are distinct."""
        said, true = self._compared(predictions, samples, reference)
        distinct = float(len(set(said)))
        counted = bootstrap.Metric(len(said), lambda weights: {"distinct": np.full(len(weights), distinct)})
        parts = [
            score(said, [[text] for text in true]) for score in (captioning.bleu, captioning.rouge_l, captioning.cider)
        ]
        return [*parts, finding_f1(said, true), counted]

    def baselines(self, reference, samples):
        """The best constants (chosen on validation by CIDEr and by BLEU-4), and reports drawn, frequent or of the nearest image."""
        train, count = reference.train.column("report"), len(samples.truths)
        found = {}
        if reference.validation is not None:
            validation = [[text] for text in self._references(reference.validation, reference)]
            candidates = baselines.constant_candidates(train)
            for title, score, key in (("CIDEr", captioning.cider, "cider"), ("BLEU-4", captioning.bleu, "bleu_4")):
                best = baselines.best_constant(
                    [text_cleaning.clean_r2gen(text) for text in candidates],
                    validation,
                    lambda said, true, score=score, key=key: score(said, true).point()[key],
                )
                found[f"best constant by {title}"] = [best] * count
        found["most frequent report"] = baselines.most_frequent(train, count)
        found["random report"] = baselines.random_choice(train, count)
        found["nearest image's report"] = baselines.nearest_image(reference.train.pixels(), train, samples.pixels())
        return found

    def show(self, prediction, truth):
        """Both reports."""
        return {"prediction": prediction or "", "truth": truth["report"]}

    def text(self, record) -> str:
        """The findings section in the form that is trained on."""
        text = text_cleaning.clean_r2gen(record.findings) if self.clean == "r2gen" else record.findings
        return " ".join(text.split()[: self.max_words or None])

    def serves(self, record):
        """Also asks for a word to be left after cleaning."""
        return super().serves(record) and bool(text_cleaning.clean_r2gen(record.findings))

    def _compared(self, predictions, samples, reference):
        return [text_cleaning.clean_r2gen(text or "") for text in predictions], self._references(samples, reference)

    def _references(self, samples, reference):
        words = text_cleaning.vocabulary(map(text_cleaning.clean_r2gen, reference.train.column("report")))
        texts = map(text_cleaning.clean_r2gen, samples.column("report"))
        return [text_cleaning.reference(text, words, self.max_words or None) for text in texts]


TASK = Report
