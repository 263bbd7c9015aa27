"""Reading a data set in tests: straight from the builder, or prepared and read back."""

from pathlib import Path

from data_pipelines import datasets
from data_pipelines.builder import folder_of, prepare
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import SetAside, Summary
from data_pipelines.work import expand
from unimedvlp.records import Record


def read(name: str, source: Path, protocol: str = "", **options) -> tuple[dict[str, Record], list[SetAside]]:
    """Records by study id and what was set aside, as the builder yields them."""
    items = list(expand(datasets.builder(name)(**options).records(source, protocol)))
    records = {item.study_id: item for item in items if isinstance(item, Record)}
    return records, [item for item in items if isinstance(item, SetAside)]


def prepared(name: str, source: Path, out: Path, protocol: str = "", **options) -> tuple[Summary, dict[str, dict]]:
    """The summary, and {split: {study id: record}} as written."""
    builder = datasets.builder(name)(**options)
    summary = prepare(builder, source, out, protocol)
    folder = folder_of(builder, out, summary.protocol)
    return summary, {
        split: {record.study_id: record for record in PreparedSplit(folder, split)} for split in summary.splits
    }


def reasons(aside: list[SetAside]) -> list[str]:
    """Why things were set aside, in their order."""
    return [item.reason for item in aside]
