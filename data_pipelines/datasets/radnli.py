"""RadNLI: does a statement follow from a sentence of a radiology report? (Miura et al. 2021).

Source: https://physionet.org/content/radnli-report-inference, after signing its agreement. Licence: PhysioNet Credentialed
Health Data. Native layout: radnli_dev_v1.jsonl and radnli_test_v1.jsonl with `sentence1` (premise), `sentence2`
(hypothesis), `gold_label` (entailment, neutral, contradiction); and radnli_pseudo-train.jsonl in the same form, which the
owner's script makes from MIMIC-CXR. A record is one pair. PTUnifier trains on MedNLI's training pairs besides: put both
data sets into the mixture.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from data_pipelines.builder import Builder
from data_pipelines.inference import pairs
from data_pipelines.native import one_of
from data_pipelines.protocols import Protocol, by_id_suffix
from data_pipelines.summary import SetAside
from unimedvlp.records import Record

FILES = {"train": "radnli_pseudo-train.jsonl", "validation": "radnli_dev_v1.jsonl", "test": "radnli_test_v1.jsonl"}


class RadNli(Builder):
    """RadNLI's files."""

    name, version, licence = "radnli", "1.0.0", "PhysioNet Credentialed Health Data License"
    protocols: ClassVar = {
        "official": Protocol(by_id_suffix, "pseudo-labelled training pairs, published dev and test pairs"),
        "evaluation": Protocol(by_id_suffix, "published dev and test pairs only, to evaluate models trained elsewhere"),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a pair."""
        splits = ("validation", "test") if protocol == "evaluation" else tuple(FILES)
        paths = {split: one_of(source, FILES[split]) for split in splits}
        for split, path in paths.items():
            yield from pairs(path, split, self.name, self.licence)


BUILDER = RadNli
