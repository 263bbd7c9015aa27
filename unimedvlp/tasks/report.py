"""Report generation: the findings of a study from its images."""

import dataclasses

from unimedvlp.evaluation.text_cleaning import clean_r2gen
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences


@dataclasses.dataclass(frozen=True)
class Report(Task):
    """Write a section of the report. Sequence: BOS report modality -> text EOS.

    `clean="r2gen"` trains on and compares text as the IU X-Ray literature does (lower case, no punctuation but full stops,
    `max_words` words); "" keeps the text as it is.
    """

    name = "report"
    needs = ("images", "findings")
    shows = ("images",)
    clean: str = ""
    max_words: int = 0  # 0 keeps all

    def sequence(self, record, unit, space):
        """Prompt and text ids of the findings."""
        return sequences.report(space, record.modality, self.text(record))

    def truth(self, record, unit):
        """The findings section, in the form that the model is asked for."""
        return {"report": self.text(record)}

    def read(self, response, space):
        """Generated ids -> text."""
        return sequences.read_text(response, space)

    def text(self, record) -> str:
        """The findings section, cleaned and cut as configured."""
        text = clean_r2gen(record.findings) if self.clean == "r2gen" else record.findings
        return " ".join(text.split()[: self.max_words or None])


TASK = Report
