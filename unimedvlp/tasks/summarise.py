"""Report summarisation: the impression from the findings."""

import dataclasses

from unimedvlp.evaluation import baselines, captioning, text_cleaning
from unimedvlp.evaluation.findings import finding_f1
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Summarise(Task):
    """Write the impression. Sequence: findings in the context; BOS summarise modality -> impression EOS.

    Texts are compared lower-cased and without punctuation.
    """

    name = "summarise"
    needs = ("findings", "impression")
    shows = ("text",)
    headline = ("rouge_l", "bleu_4", "cider", "f1_macro", "f1_micro")

    def sequence(self, record, unit, space, rng=None):
        """Ids of findings and impression."""
        return sequences.summary(space, record.modality, record.findings, record.impression, self.name)

    def texts(self, record):
        """Both sections."""
        return record.findings, record.impression

    def truth(self, record, unit):
        """Both sections."""
        return {"impression": record.impression, "findings": record.findings}

    def read(self, response, space):
        """Generated ids -> impression."""
        return sequences.read_text(response, space)

    def metrics(self, predictions, samples, reference):
        """ROUGE-L, BLEU-1..4, CIDEr, and F1 of abnormal findings."""
        said = [text_cleaning.clean_r2gen(text or "") for text in predictions]
        true = [text_cleaning.clean_r2gen(text) for text in samples.column("impression")]
        parts = [
            score(said, [[text] for text in true]) for score in (captioning.rouge_l, captioning.bleu, captioning.cider)
        ]
        return [*parts, finding_f1(said, true)]

    def baselines(self, reference, samples):
        """The most frequent impression, and that of the nearest findings."""
        findings, impressions = reference.train.column("findings"), reference.train.column("impression")
        return {
            "most frequent impression": baselines.most_frequent(impressions, len(samples.truths)),
            "nearest findings' impression": baselines.nearest_text(findings, impressions, samples.column("findings")),
        }

    def show(self, prediction, truth):
        """Findings and both impressions."""
        return {"findings": truth["findings"], "prediction": prediction or "", "truth": truth["impression"]}

    def serves(self, record):
        """Also asks for a word to be left after cleaning."""
        return super().serves(record) and bool(text_cleaning.clean_r2gen(record.impression))


TASK = Summarise
