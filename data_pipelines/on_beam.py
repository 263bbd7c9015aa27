"""`prepare --runner`: the same work on Apache Beam, so that a cluster can do sets of MIMIC's size.

Workers examine items and write whole shards; what lies between, which record is accepted and to which shard it goes, is
decided in one place from the few facts of each record, in the order of the items. So the shards equal those of a plain run.
Source and output must be paths that all workers can reach, such as a network file system.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines import journal
from data_pipelines.shards import Numbering, Shard, write_shard
from data_pipelines.summary import Entry, Ledger, Outcome
from data_pipelines.work import Item, Work
from unimedvlp.errors import UserError

try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError as error:
    raise UserError("--runner needs an extra: pip install unimedvlp[beam]") from error

ERROR = "error.txt"
Place = tuple[int, int]  # number of an item and of the outcome within it
Examined = tuple[int, list[Outcome] | str]  # number of an item and what became of it, or the error that it ended in
Facts = tuple[int, list[tuple[Outcome, int]] | str]  # the same without data, which have left their size


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where each accepted record goes and what became of every item, or the error that ends the run."""

    shards: dict[Place, Shard]
    items: list[tuple[int, list[Outcome]]]
    error: str = ""


def fill(
    folder: Path,
    run: Mapping[str, Any],
    work: Work,
    ledger: Ledger,
    limit: int | None,
    shard_bytes: int,
    runner: str,
    options: Sequence[str],
) -> None:
    """Write all shards of a run into `folder`, with the journal that says so. UserError from an item is raised here."""
    with beam.Pipeline(runner, PipelineOptions([f"--{option}" for option in options])) as pipeline:
        examined = (
            pipeline
            | "items" >> beam.Create(list(enumerate(work.items())))
            | "spread" >> beam.Reshuffle()
            | "examine" >> beam.ParDo(_Examine(work))
        )
        plan = (
            examined
            | "facts" >> beam.Map(_facts)
            | "all facts" >> beam.combiners.ToList()
            | "plan" >> beam.Map(make_plan, ledger, limit, shard_bytes)
        )
        written = (
            examined
            | "assign" >> beam.FlatMap(_assigned, beam.pvalue.AsSingleton(plan))
            | "gather" >> beam.GroupByKey()
            | "write" >> beam.Map(_write, folder)
            | "all written" >> beam.combiners.ToList()
        )
        _ = written | "journal" >> beam.Map(_note, beam.pvalue.AsSingleton(plan), folder, run)
    error = folder / ERROR
    if error.is_file():
        raise UserError(error.read_text())


def make_plan(found: Iterable[Facts], ledger: Ledger, limit: int | None, shard_bytes: int) -> Plan:
    """Accept records in the order of their items, as a plain run does, and give each its shard."""
    numberings: dict[str, Numbering] = defaultdict(lambda: Numbering(shard_bytes))
    places: dict[tuple[str, int], dict[Place, int]] = defaultdict(dict)  # shard -> its records with their sizes
    items: list[tuple[int, list[Outcome]]] = []
    for number, facts in sorted(found, key=lambda pair: pair[0]):
        if ledger.written == limit:
            break
        if isinstance(facts, str):
            return Plan({}, [], facts)
        try:
            taken = ledger.take((outcome for outcome, _ in facts), limit)
        except UserError as error:
            return Plan({}, [], str(error))
        items.append((number, taken))
        for i, outcome in enumerate(taken):
            if isinstance(outcome, Entry):
                size = facts[i][1]
                places[outcome.split, numberings[outcome.split].place(size)][number, i] = size
    shards = {key: Shard(*key, len(sizes), sum(sizes.values())) for key, sizes in places.items()}
    return Plan({place: shards[key] for key, sizes in places.items() for place in sizes}, items)


class _Examine(beam.DoFn):
    """(number, item) -> (number, outcomes); everything that an item needs is made once in each worker."""

    def __init__(self, work: Work):
        self._work = work

    def setup(self) -> None:
        self._examine = self._work.start()

    def process(self, element: tuple[int, Item]) -> Iterator[Examined]:
        number, item = element
        try:
            yield number, self._examine(item)
        except UserError as error:
            yield number, str(error)


def _facts(examined: Examined) -> Facts:
    number, outcomes = examined
    if isinstance(outcomes, str):
        return number, outcomes
    return number, [
        (dataclasses.replace(o, data=b""), len(o.data)) if isinstance(o, Entry) else (o, 0) for o in outcomes
    ]


def _assigned(examined: Examined, plan: Plan) -> Iterator[tuple[tuple, tuple[Place, bytes]]]:
    number, outcomes = examined
    for i, outcome in enumerate(outcomes):
        if (number, i) in plan.shards:
            yield dataclasses.astuple(plan.shards[number, i]), ((number, i), outcome.data)


def _write(gathered: tuple[tuple, Iterable[tuple[Place, bytes]]], folder: Path) -> Shard:
    shard, records = Shard(*gathered[0]), gathered[1]
    write_shard(shard, folder, (data for _, data in sorted(records)))
    return shard


def _note(shards: Iterable[Shard], plan: Plan, folder: Path, run: Mapping[str, Any]) -> None:
    if plan.error:
        (folder / ERROR).write_text(plan.error)
    else:
        journal.write(folder, run, plan.items, sorted(shards, key=lambda shard: (shard.split, shard.number)))
