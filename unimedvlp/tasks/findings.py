"""Multi-label image classification: is this finding present?"""

import dataclasses

from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Findings(Task):
    """One query a finding. Sequence: BOS findings modality class -> POS | NEG | UNCERTAIN EOS.

    A unit is the name of a finding that the record says something about; unmentioned ones are neither asked nor scored.
    `classes` narrows them.
    """

    name = "findings"
    needs = ("images", "labels")
    shows = ("images",)
    classes: tuple[str, ...] = ()

    def units(self, record):
        """Names of the findings that the record speaks of."""
        return [name for name in record.labels if not self.classes or name in self.classes]

    def sequence(self, record, unit, space):
        """Ids of one query."""
        return sequences.finding(space, record.modality, unit, record.labels[unit])

    def truth(self, record, unit):
        """The finding's name and value."""
        return {"finding": unit, "value": record.labels[unit]}

    def read(self, response, space):
        """Generated ids -> value."""
        return sequences.read_finding(response)


TASK = Findings
