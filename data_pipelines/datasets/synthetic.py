"""Procedural phantoms (Apache-2.0, made by this project): chest radiographs in two views, head CT slices, fundus photographs.

Every study comes with exact boxes and masks of its findings, masks of organs, labels, a report, a caption, questions and
answers, and a premise-hypothesis pair; patients return for follow-ups. There are no native files: `--studies`, `--seed` and
`--size` say what to draw. Study i depends on the seed and the size only; pixels are the same on every machine.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder, option
from data_pipelines.protocols import Protocol, by_patient
from data_pipelines.synthetic import appointments, study
from unimedvlp.errors import UserError
from unimedvlp.records import Record


@dataclasses.dataclass(frozen=True)
class Synthetic(Builder):
    """`studies` visits of phantom patients, `size` pixels square, drawn from `seed`."""

    name, version, licence = "synthetic", "1.0.0", "Apache-2.0"
    protocols: ClassVar = {"by-patient": Protocol(by_patient(0), "80/10/10 by a hash of the patient's id, seed 0")}
    needs_source = False

    studies: int = option(1200, "number of studies")
    seed: int = option(0, "seed of the drawing")
    size: int = option(128, "side of the images in pixels")

    def __post_init__(self):
        if self.studies < 1 or self.size < 32 or self.seed < 0:
            raise UserError("synthetic: expected --studies >= 1, --size >= 32 and --seed >= 0")

    def records(self, source: Path, protocol: str) -> Iterator[partial]:
        """One drawing a study."""
        for patient, visit in appointments(self.studies, self.seed):
            yield partial(self._draw, patient, visit)

    def _draw(self, patient: int, visit: int) -> Iterator[Record]:
        record = study(patient, visit, self.seed, self.size)
        yield dataclasses.replace(record, source="synthetic", licence=self.licence)


BUILDER = Synthetic
