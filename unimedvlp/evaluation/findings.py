"""The 14 CheXpert findings read from report text by rules; precision, recall and F1 of one set of reports on another.

    python -m unimedvlp.evaluation.findings --source DIR --split test

prints how far the labels of findings + impression agree with the manual MeSH tags of IU X-Ray. The tags name what is
there, rarely what is suspected, so agreement is shown with uncertain mentions counted as present and as absent.
"""

import argparse
import csv
import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.evaluation import bootstrap
from unimedvlp.evaluation.context import NEGATIVE, POSITIVE, UNCERTAIN, UNMENTIONED, sentences, status, triggers
from unimedvlp.evaluation.lexicon import ABNORMAL, FINDINGS, MENTIONS, NO_FINDING, NORMAL, TAGS

_RANK = {UNMENTIONED: 0, NEGATIVE: 1, UNCERTAIN: 2, POSITIVE: 3}


def label_report(text: str) -> dict[str, str]:
    """{finding: positive, uncertain, negative or unmentioned} for the 14 findings of one report.

    A finding takes its strongest mention: positive before uncertain before negative. "No Finding" is positive when no
    abnormal finding is positive or uncertain (devices may be present), else negative.
    """
    labels = dict.fromkeys(FINDINGS, UNMENTIONED)

    def mention(name: str, said: str) -> None:
        labels[name] = max(labels[name], said, key=_RANK.__getitem__)

    for sentence in sentences(text):
        found = triggers(sentence)
        for name, pattern in NORMAL.items():
            if pattern.search(sentence):
                mention(name, NEGATIVE)
        for name, pattern in MENTIONS.items():
            for match in pattern.finditer(sentence):
                mention(name, status(found, *match.span()))
    abnormal = any(labels[name] in (POSITIVE, UNCERTAIN) for name in ABNORMAL)
    return labels | {NO_FINDING: NEGATIVE if abnormal else POSITIVE}


def presence(reports: Iterable[str]) -> np.ndarray:
    """bool [N, 14] in the order of FINDINGS: positive or uncertain (as F1-CheXbert counts)."""
    return np.array([_present(text) for text in reports], bool).reshape(-1, len(FINDINGS))


@functools.lru_cache(maxsize=20_000)
def _present(text: str) -> tuple[bool, ...]:
    return tuple(said in (POSITIVE, UNCERTAIN) for said in label_report(text).values())


def finding_f1(predictions: Sequence[str], references: Sequence[str], groups=None) -> bootstrap.Metric:
    """precision_micro, recall_micro, f1_micro and _macro over the 12 abnormal findings, and f1/<finding> for all 14.

    The macro average runs over the abnormal findings that the references hold at least once; 0 where nothing agrees.
    No Finding and Support Devices stand apart as f1/No Finding and f1/Support Devices.
    """
    if not len(predictions) or len(predictions) != len(references):
        raise UserError(f"{len(predictions)} predictions, {len(references)} references: need as many, above 0")
    return presence_f1(presence(predictions), presence(references), groups)


def presence_f1(said: np.ndarray, true: np.ndarray, groups=None) -> bootstrap.Metric:
    """`finding_f1` of findings that are already labelled: bool [N, 14] each, in the order of FINDINGS."""
    both, size = said & true, len(FINDINGS)
    columns = [FINDINGS.index(name) for name in ABNORMAL]
    supported = [column for column in columns if true[:, column].any()]

    def score(sums: np.ndarray) -> dict[str, np.ndarray]:
        hits, claims, truths = sums[:, :size], sums[:, size : 2 * size], sums[:, 2 * size :]
        per = [bootstrap.ratio(hits, claims), bootstrap.ratio(hits, truths), bootstrap.ratio(2 * hits, claims + truths)]
        micro = [part[:, columns].sum(1) for part in (hits, claims, truths)]
        named = {
            "precision_micro": bootstrap.ratio(micro[0], micro[1]),
            "recall_micro": bootstrap.ratio(micro[0], micro[2]),
            "f1_micro": bootstrap.ratio(2 * micro[0], micro[1] + micro[2]),
        }
        for metric, values in zip(("precision", "recall", "f1"), per, strict=True):
            values = values[:, supported]
            defined = np.isfinite(values)
            named[f"{metric}_macro"] = bootstrap.ratio(
                np.where(defined, values, 0).sum(1), defined.sum(1).astype(float)
            )
        return named | {f"f1/{name}": per[2][:, g] for g, name in enumerate(FINDINGS)}

    metric = bootstrap.totals(np.concatenate([both, said, true], axis=1), score, groups)
    counts = {f"f1/{name}": int(true[:, g].sum()) for g, name in enumerate(FINDINGS)}
    return bootstrap.Metric(metric.count, metric.score, counts, metric.groups)


def tagged(mesh: str) -> list[bool]:
    """The findings that the MeSH column of one IU X-Ray study names, in the order of FINDINGS."""
    tags = [tag.strip().lower() for tag in mesh.split(";")]
    return [any(TAGS[name].match(tag) for tag in tags) for name in FINDINGS]


def agreement(rows: Sequence[dict[str, str]]) -> str:
    """A table of precision, recall and F1 against the MeSH tags. rows: findings, impression, MeSH of a study each."""
    if not rows:
        raise UserError("no studies to compare")
    true = np.array([tagged(row["MeSH"]) for row in rows])
    labels = [list(label_report(f"{row['findings']}\n{row['impression']}").values()) for row in rows]
    sure = np.array([[said == POSITIVE for said in row] for row in labels])
    said = sure | np.array([[said == UNCERTAIN for said in row] for row in labels])
    lines = ["finding                      tagged labelled precision  recall     F1   F1 sure only"]
    for g, name in enumerate(FINDINGS):
        hits, claims, truths = (said & true)[:, g].sum(), said[:, g].sum(), true[:, g].sum()
        strict = 2 * (sure & true)[:, g].sum() / max(1, sure[:, g].sum() + truths)
        lines.append(
            f"{name:28}{truths:7d}{claims:9d}{hits / max(1, claims):10.3f}{hits / max(1, truths):8.3f}"
            f"{2 * hits / max(1, claims + truths):7.3f}{strict:15.3f}"
        )
    for title, chosen in (("uncertain counts as present", said), ("uncertain counts as absent", sure)):
        values = presence_f1(chosen, true).values()
        lines.append(f"12 abnormal findings, {title}: micro-F1 {values['f1_micro']}, macro-F1 {values['f1_macro']}")
    return "\n".join(lines)


def main() -> None:
    """Print the agreement of the labeller with the MeSH tags."""
    parser = argparse.ArgumentParser(description="agreement of the rule-based labeller with the MeSH tags of IU X-Ray")
    parser.add_argument("--source", type=Path, required=True, help="folder with indiana_reports.csv")
    parser.add_argument(
        "--split", help="train, val or test of r2gen_split_uids.json in the same folder; all if left out"
    )
    options = parser.parse_args()
    table, split = options.source / "indiana_reports.csv", options.source / "r2gen_split_uids.json"
    for path in (table, split) if options.split else (table,):
        if not path.is_file():
            parser.error(f"{path} does not exist")
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["MeSH"].strip().lower() != "no indexing"]
    if options.split:
        chosen = {str(uid) for uid in json.loads(split.read_text())[options.split]}
        rows = [row for row in rows if row["uid"] in chosen]
    print(agreement(rows))


if __name__ == "__main__":
    main()
