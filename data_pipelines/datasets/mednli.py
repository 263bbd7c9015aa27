"""MedNLI: does a statement follow from a sentence of a clinical note? (Romanov and Shivade 2018).

Source: https://physionet.org/content/mednli, after signing its agreement. Licence: PhysioNet Credentialed Health Data.
Native layout: mli_train_v1.jsonl, mli_dev_v1.jsonl, mli_test_v1.jsonl with `sentence1` (premise), `sentence2`
(hypothesis), `gold_label` (entailment, neutral, contradiction) and `pairID`. A record is one pair.
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

FILES = {"train": "mli_train_v1.jsonl", "validation": "mli_dev_v1.jsonl", "test": "mli_test_v1.jsonl"}


class MedNli(Builder):
    """MedNLI's three files."""

    name, version, licence = "mednli", "1.0.0", "PhysioNet Credentialed Health Data License"
    protocols: ClassVar = {
        "official": Protocol(by_id_suffix, "the published train, dev and test files", expected={"test": 1422}),
    }

    def records(self, source: Path, protocol: str) -> Iterator[Record | SetAside]:
        """One record a pair."""
        paths = {split: one_of(source, name) for split, name in FILES.items()}
        for split, path in paths.items():
            yield from pairs(path, split, self.name, self.licence)


BUILDER = MedNli
