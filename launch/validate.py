"""`unimedvlp validate`: check prepared data sets and draw what is in them on a page."""

import argparse
import json
from pathlib import Path

import rich
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from data_pipelines.summary import FILE
from data_pipelines.validate import Validation, prepared_folders, validate
from data_pipelines.validate.problems import by_kind
from launch.summary import summary
from launch.validation_page import page, verdict
from unimedvlp.errors import UserError

EXAMPLE = """example:
  unimedvlp validate data/iu_xray
  unimedvlp validate data --json > validation.json

DIR is a prepared data set or a folder of several. The page of each is validation/index.html in its folder, or
PAGES/NAME-PROTOCOL-VERSION.html.
The exit status is 1 if there is an error: unreadable images, unsound boxes or masks, patients or images in two splits."""
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def main(argv: list[str]) -> int:
    """Validate every prepared data set in a folder; 1 if any has an error."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp validate",
        description=__doc__.replace("`", ""),
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a prepared data set or a folder of several")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead of tables")
    parser.add_argument("--pages", type=Path, help="another folder for the pages")
    args = parser.parse_args(argv)
    errors, said = 0, []
    for folder in prepared_folders(args.folder):
        found = validate(folder, _progress)
        errors += found.errors
        if not args.json:
            _show(found)
        written = _write(found, args.pages)
        said.append(found.as_dict() | {"page": str(written)})
        if not args.json:
            print(f"page: {written}\n")
    if args.json:
        print(json.dumps(said, indent=1))
    return 1 if errors else 0


def _write(found: Validation, pages: Path | None) -> Path:
    path = pages / f"{found.name.replace('/', '-')}.html" if pages else found.folder / "validation" / "index.html"
    try:
        return page(found).write(path)
    except OSError as error:
        raise UserError(f"cannot write the page {path}: {error.strerror}; choose a folder with --pages") from error


def _progress(items, what: str, total: int):
    return track(items, what, total=total, transient=True, console=Console(stderr=True))


def _show(found: Validation) -> None:
    if (found.folder / FILE).is_file():
        summary(found.folder)
    if found.problems:
        table = Table("level", "where", "what", "count", "for example")
        for kind, splits in by_kind(found.problems):
            where = f"{kind.field} {', '.join(splits)}".strip()
            cells = (where, kind.message, f"{kind.count:,}", "".join(kind.examples[:1]))
            table.add_row(f"[{_STYLES[kind.level]}]{kind.level}[/]", *map(escape, cells))
        rich.print(table)
    print(f"{found.name}: {verdict(found)}")
