"""Masked-code modelling: an image's codes from the image as the encoder sees it, of which the system may hide parts."""

import dataclasses

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import codes as scores
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import grammar, region_sequences, sequences
from unimedvlp.tokens.vocabulary import EOS

PICTURES = ("", "images", "masks")


@dataclasses.dataclass(frozen=True)
class Reconstruct(Task):
    """Write the codes of an image. Sequence: BOS reconstruct modality -> code ... EOS (after BEiT, Bao et al., 2022).

    Records serve that carry codes (see `unimedvlp codes`). With `pictures="images"` or "masks", records serve that have such
    pictures, and their response is empty: what the system `codes`, which makes the codes, learns from. `model` is the working
    directory that the codes were made with: then scores and page show pictures.
    """

    name = "reconstruct"
    needs = ("images",)
    shows = ("images",)
    headline = ("code_accuracy", "psnr", "distinct")
    descriptive = ("distinct",)
    pictures: str = ""
    model: str = ""

    def __post_init__(self):
        if self.pictures not in PICTURES:
            raise UserError(f"task reconstruct: pictures is {self.pictures!r}, use one of {PICTURES}")

    def units(self, record):
        """The image, where the record has what is asked for."""
        return (None,) if len(getattr(record, self.pictures or "image_codes")) else ()

    def sequence(self, record, unit, space, rng=None):
        """Prompt and code ids."""
        if self.pictures:
            return sequences.Sequence([], sequences.head(space, self.name, record.modality), [EOS])
        return region_sequences.image_codes(space, record.modality, record.image_codes)

    def truth(self, record, unit):
        """The stored codes."""
        return {"codes": np.asarray(record.image_codes).tolist()}

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
        """The most frequent code of every place, and the codes of a random training image."""
        train = reference.train.column("codes")
        return scores.baselines(train, len(samples.truths))

    def show(self, prediction, truth):
        """The first codes of both."""
        return {"prediction": scores.listed(prediction), "truth": scores.listed(truth["codes"])}

    def drawn(self, prediction, truth):
        """The pictures of predicted and of true codes."""
        return scores.pictures([prediction, truth["codes"]], self.model) if self.model else ()


TASK = Reconstruct
