"""Report summarisation: the impression from the findings."""

import dataclasses

from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Summarise(Task):
    """Write the impression. Sequence: findings in the context; BOS summarise modality -> impression EOS."""

    name = "summarise"
    needs = ("findings", "impression")
    shows = ("text",)

    def sequence(self, record, unit, space):
        """Ids of findings and impression."""
        return sequences.summary(space, record.modality, record.findings, record.impression)

    def truth(self, record, unit):
        """Both sections."""
        return {"impression": record.impression, "findings": record.findings}

    def read(self, response, space):
        """Generated ids -> impression."""
        return sequences.read_text(response, space)


TASK = Summarise
