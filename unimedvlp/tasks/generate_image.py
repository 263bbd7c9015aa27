"""Report to image: the codes of an image from its findings."""

import dataclasses

import numpy as np

from unimedvlp.evaluation import baselines
from unimedvlp.evaluation import codes as scores
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import grammar, region_sequences


@dataclasses.dataclass(frozen=True)
class GenerateImage(Task):
    """Write the codes of the first image that a report is about. Sequence: findings | BOS generate_image modality -> code ... EOS.

    Records serve that carry codes (see `unimedvlp codes`) and findings. `model` is the working directory that the codes were
    made with: then scores and page show pictures.
    """

    name = "generate_image"
    needs = ("findings", "image_codes")
    shows = ("text",)
    headline = ("code_accuracy", "psnr", "distinct")
    descriptive = ("distinct",)
    model: str = ""

    def sequence(self, record, unit, space, rng=None):
        """Findings as context, then the codes."""
        return region_sequences.image_codes(space, record.modality, record.image_codes, record.findings)

    def texts(self, record):
        """The findings section."""
        return (record.findings,)

    def truth(self, record, unit):
        """The stored codes, and the findings they belong to."""
        return {"codes": np.asarray(record.image_codes).tolist(), "findings": record.findings}

    def grammar(self, space, length):
        """As many codes as the response has room for, before EOS."""
        return grammar.build(space.vocabulary, self.name, length=length, codes=length - 1)

    def read(self, response, space):
        """Generated ids -> codes."""
        codes = region_sequences.read_image_codes(response)
        return None if codes is None else codes.tolist()

    def metrics(self, predictions, samples, reference):
        """The share of codes that are right, PSNR against the picture of the true codes, and how many predictions are distinct."""
        return scores.written(predictions, samples.column("codes"), samples.records, self.model)

    def baselines(self, reference, samples):
        """The most frequent code of every place, a random training image, and the image of the nearest findings."""
        train = reference.train.column("codes")
        known, asked = reference.train.column("findings"), samples.column("findings")
        nearest = baselines.nearest_text(known, train, asked)
        return scores.baselines(train, len(samples.truths)) | {"nearest findings' picture": nearest}

    def show(self, prediction, truth):
        """The findings, and the first codes of both."""
        codes = {"prediction": scores.listed(prediction), "truth": scores.listed(truth["codes"])}
        return {"findings": truth["findings"]} | codes

    def drawn(self, prediction, truth):
        """The pictures of predicted and of true codes."""
        return scores.pictures([prediction, truth["codes"]], self.model) if self.model else ()


TASK = GenerateImage
