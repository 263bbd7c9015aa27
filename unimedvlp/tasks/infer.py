"""Natural language inference: does a statement follow from a text?"""

import dataclasses

from unimedvlp.tasks.text_classify import TextClassify
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Infer(TextClassify):
    """Entailment, neutral or contradiction? Sequence: premise SEP hypothesis in the context; BOS infer text -> class EOS."""

    name = "infer"
    needs = ("premise", "hypothesis", "relation")
    classes: tuple[str, ...] = ("entailment", "neutral", "contradiction")
    field: str = "relation"

    def sequence(self, record, unit, space, rng=None):
        """Ids of both texts and their relation."""
        return sequences.inference(space, record.premise, record.hypothesis, unit)

    def read_of(self, record) -> str:
        """Both texts."""
        return f"{record.premise} {record.hypothesis}"

    def texts(self, record):
        """Both texts."""
        return record.premise, record.hypothesis

    def truth(self, record, unit):
        """The relation and both texts."""
        return super().truth(record, unit) | {"premise": record.premise, "hypothesis": record.hypothesis}

    def baselines(self, reference, samples):
        """The class frequencies, and logistic regressions on the words of the hypothesis alone and of both texts."""
        readings = {"regression on the hypothesis": "hypothesis", "regression on words": "text"}
        return self._by_words(reference, samples, readings)


TASK = Infer
