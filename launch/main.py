"""The `unimedvlp` command: `unimedvlp SUBCOMMAND ...` is `python -m launch.SUBCOMMAND ...`."""

import difflib
import importlib
import sys

import unimedvlp
from unimedvlp.errors import UserError

COMMANDS = {
    "quickstart": "the whole way on a synthetic set: prepare, train, resume, evaluate, predict",
    "prepare": "read a data set in its native layout and write records",
    "validate": "check prepared data sets and draw what is in them",
    "codes": "pictures as tokens: score trained autoencoders, write data sets with their codes",
    "train": "train or resume a model from a config",
    "evaluate": "score a trained model and write an HTML report",
    "predict": "one study in, a report, an answer, a summary or labels out",
    "plan": "memory, time and MFU of a run on a TPU topology, by its compiler, without a TPU",
    "doctor": "devices, versions and missing extras",
}
USAGE = "usage: unimedvlp [--version] COMMAND [--help] ..."


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; errors that are the user's to mend are printed in one line, and the exit status is then 2."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, "\ncommands:", *(f"  {name:<12}{text}" for name, text in COMMANDS.items()), sep="\n")
        print("\nexample: unimedvlp quickstart --workdir runs/quickstart")
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"unimedvlp {unimedvlp.__version__}")
        return 0
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(COMMANDS)}"
        print(f"unimedvlp: unknown command {argv[0]!r}; {hint}", file=sys.stderr)
        return 2
    return run(importlib.import_module(f"launch.{argv[0]}").main, argv[1:])


def run(command, argv: list[str] | None = None) -> int:
    """Call a subcommand's `main(argv)` with the error handling of the command line."""
    try:
        return command(sys.argv[1:] if argv is None else argv) or 0
    except UserError as error:
        print(f"unimedvlp: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
