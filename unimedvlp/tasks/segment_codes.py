"""Segmentation by the codes of a mask autoencoder: what polygons cannot say, such as vessels with their loops."""

import dataclasses
import functools

import numpy as np

from unimedvlp import runs
from unimedvlp.code_model import CodeModel
from unimedvlp.tasks.segment import Segment
from unimedvlp.tokens import grammar, region_sequences
from unimedvlp.tokens.vocabulary import EOS


@dataclasses.dataclass(frozen=True)
class SegmentCodes(Segment):
    """Write the codes of a class's mask. Sequence: BOS segment modality class MASK -> code ... EOS.

    Records serve that carry codes of their masks (see `unimedvlp codes`); a unit is a class of which an image has one mask.
    `model` is the working directory that the codes were made with: it turns them back into masks.
    """

    needs = ("images", "mask_codes")
    uses = ("masks",)
    model: str = ""

    def units(self, record):
        """Names of the classes that have one mask."""
        names = list(record.mask_classes)
        return [name for name in names if names.count(name) == 1 and (not self.classes or name in self.classes)]

    def sequence(self, record, unit, space, rng=None):
        """Ids of the stored codes of one mask; a record without codes is only asked."""
        if not len(record.mask_codes):
            return region_sequences.mask_codes(space, record.modality, unit, [0])._replace(response=[EOS])
        codes = np.asarray(record.mask_codes).reshape(len(record.masks), -1)
        return region_sequences.mask_codes(space, record.modality, unit, codes[record.mask_classes.index(unit)])

    def grammar(self, space, length):
        """As many codes as the model gives a mask."""
        rows, columns = mask_model(self.model).grid
        return grammar.build(space.vocabulary, self.name, length=length, codes=rows * columns)

    def read(self, response, space):
        """Generated ids -> mask."""
        codes = region_sequences.read_mask_codes(response)
        return None if codes is None else runs.encode(mask_model(self.model).decode(codes[None])[0, ..., 0] >= 0.5)


@functools.cache
def mask_model(workdir: str) -> CodeModel:
    """The model of a working directory, read once."""
    return CodeModel.load(workdir, "masks")


TASK = SegmentCodes
