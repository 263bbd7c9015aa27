"""`unimedvlp prepare`: read a data set as its owner ships it and write records that every task and system can use."""

import argparse
import dataclasses
from collections import defaultdict
from pathlib import Path

import rich
import rich.progress
from rich.table import Table

from data_pipelines import datasets
from data_pipelines.builder import DONE, SHARD_MB, folder_of, prepare
from data_pipelines.parallel import cores
from launch.summary import summary
from unimedvlp.errors import UserError

EXAMPLE = """examples:
  unimedvlp prepare synthetic --out data --studies 1200
  unimedvlp prepare iu_xray --source ~/iu_xray --out data --protocol r2gen
  unimedvlp prepare mimic_cxr --source ~/mimic --out data --resize 256
  unimedvlp prepare --list

A run that was stopped goes on where it was when the same command is given again.

data sets: """


def main(argv: list[str]) -> int:
    """Prepare one data set and print its summary; a second run says what is already there."""
    args = _parser().parse_args(argv)
    if args.list:
        _list()
        return 0
    if not args.name or not args.out:
        raise UserError("prepare needs the name of a data set and --out DIR; see --help or --list")
    builder = _builder(args)
    protocol = args.protocol or next(iter(builder.protocols))
    folder = folder_of(builder, args.out, protocol)
    there = (folder / DONE).is_file() and not args.overwrite
    rule = builder.protocols.get(protocol)
    listed = sum(rule.expected.values()) if rule and rule.counted == "records" else None
    total = args.limit or getattr(builder, "studies", None) or listed

    def progress(items):
        return rich.progress.track(items, f"{builder.name}/{protocol}", total=total, transient=True)

    prepare(
        builder, args.source, args.out, protocol, args.limit, args.overwrite, progress,
        resize=args.resize, shard_mb=args.shard_mb, workers=args.workers, runner=args.runner, runner_options=args.runner_option,
    )  # fmt: skip
    summary(folder)
    print(f"{'already there; --overwrite makes it anew' if there else 'done'}: {folder}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unimedvlp prepare",
        description=__doc__.replace("`", ""),
        epilog=EXAMPLE + ", ".join(datasets.names()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="the data set; --list shows all")
    parser.add_argument("--source", type=Path, help="folder that holds the data set as its owner ships it")
    parser.add_argument("--out", type=Path, help="where prepared data sets go, as OUT/NAME/PROTOCOL/VERSION")
    parser.add_argument("--protocol", default="", help="how to split (default: the first that --list shows)")
    parser.add_argument("--limit", type=int, help="stop after so many records")
    parser.add_argument("--resize", type=int, default=0, help="store images with a shorter side of so many pixels")
    parser.add_argument("--shard-mb", type=float, default=SHARD_MB, help="size of a shard (default: %(default)g MB)")
    parser.add_argument(
        "--workers", type=int, default=cores(), help="processes (default: one a core, here %(default)d)"
    )
    parser.add_argument("--runner", default="", help="run on Apache Beam instead: direct, dataflow, flink, spark, ...")
    parser.add_argument(
        "--runner-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the Beam runner; repeatable",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is already there")
    parser.add_argument("--list", action="store_true", help="show data sets with licences and protocols")
    own = parser.add_argument_group("options of single data sets")
    for key, takers in _options().items():
        field = takers[0][1]
        names = ", ".join(name for name, _ in takers)
        own.add_argument(f"--{key}", type=type(field.default), help=f"{field.metadata['help']} ({names})")
    return parser


def _options() -> dict[str, list[tuple[str, dataclasses.Field]]]:
    """{option: the data sets that take it, each with its field}"""
    found = defaultdict(list)
    for name in datasets.names():
        for field in dataclasses.fields(datasets.builder(name)):
            found[field.name].append((name, field))
    return found


def _builder(args: argparse.Namespace):
    """The builder with the options of its own that were given; an option that it does not have is an error."""
    kind = datasets.builder(args.name)
    given = {key: value for key in _options() if (value := getattr(args, key)) is not None}
    if unknown := [f"--{key}" for key in given if key not in kind.__dataclass_fields__]:
        raise UserError(f"{args.name} takes no {', '.join(unknown)}")
    return kind(**given)


def _list() -> None:
    table = Table("data set", "licence", "protocol", "split")
    for name in datasets.names():
        builder = datasets.builder(name)
        whole = [(protocol, rule) for protocol, rule in builder.protocols.items() if rule.fraction == 1]
        for i, (protocol, rule) in enumerate(whole):
            fewer = (
                f"; also {protocol}-10pct, -1pct, -10pct-seed1, ..." if f"{protocol}-1pct" in builder.protocols else ""
            )
            table.add_row(name if not i else "", builder.licence if not i else "", protocol, rule.about + fewer)
    rich.print(table)
