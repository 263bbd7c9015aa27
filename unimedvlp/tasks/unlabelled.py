"""An image as it is: what systems that learn from unlabelled images are shown."""

import dataclasses

from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences
from unimedvlp.tokens.vocabulary import EOS


@dataclasses.dataclass(frozen=True)
class Unlabelled(Task):
    """Nothing is asked and nothing is said. Sequence: BOS reconstruct modality -> EOS, of no weight.

    Its rows carry no annotation, whatever the record has, so that a data set can be used without its labels: systems learn
    from them what they learn from images alone.
    """

    name = "reconstruct"
    needs = ("images",)
    shows = ("images",)
    labelled = False

    def sequence(self, record, unit, space, rng=None):
        """Ids of the prompt; the end counts nothing."""
        return sequences.Sequence([], sequences.head(space, self.name, record.modality), [EOS], weight=[0.0])


TASK = Unlabelled
