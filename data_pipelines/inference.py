"""Pairs of sentences with their relation, one JSON object a line: the layout of MedNLI and RadNLI."""

from collections.abc import Iterator
from pathlib import Path

from data_pipelines.native import json_lines, plain
from data_pipelines.summary import SetAside
from unimedvlp.records import Record

FIELDS = ("sentence1", "sentence2", "gold_label")
RELATIONS = ("entailment", "neutral", "contradiction")


def pairs(path: Path, split: str, name: str, licence: str) -> Iterator[Record | SetAside]:
    """One record a line, called PAIR/SPLIT; those without a sentence or a relation are set aside."""
    for i, row in enumerate(json_lines(path, FIELDS), start=1):
        premise, hypothesis, relation = (plain(row[field]) for field in FIELDS)
        study_id = f"{row.get('pairID') or row.get('pair_id') or f'{split}-{i}'}/{split}"
        where = f"{path.name} pair {i}"
        if not premise or not hypothesis:
            yield SetAside(study_id, "a sentence is empty", where)
        elif relation not in RELATIONS:
            yield SetAside(study_id, f"gold_label is not one of {', '.join(RELATIONS)}", f"{where}: {relation[:40]!r}")
        else:
            yield Record(
                study_id=study_id,
                modality="text",
                premise=premise,
                hypothesis=hypothesis,
                relation=relation,
                source=f"{name} {where}",
                licence=licence,
            )
