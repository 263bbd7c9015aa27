"""Multimodal summarisation: the impression from the findings and the images."""

import dataclasses

from unimedvlp.tasks.summarise import Summarise


@dataclasses.dataclass(frozen=True)
class MultimodalSummarise(Summarise):
    """As `Summarise`, with the images before the encoder too. Sequence: BOS multimodal_summarise modality -> impression EOS."""

    name = "multimodal_summarise"
    needs = ("images", "findings", "impression")
    shows = ("images", "text")


TASK = MultimodalSummarise
