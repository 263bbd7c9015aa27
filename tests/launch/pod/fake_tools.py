"""Command line tools that only record how they were called."""

import os
import subprocess
from pathlib import Path

POD = Path(__file__).parents[3] / "launch" / "pod"
TOOLS = [
    "gcloud",
    "kubectl",
    "xpk",
    "sky",
    "sbatch",
    "squeue",
    "scancel",
    "srun",
    "scontrol",
    "docker",
    "gcsfuse",
    "curl",
    "mountpoint",
    "journalctl",
    "mkdir",
    "tail",
    "sleep",
    "python",
    "apt-get",
]
FAKE = """#!/usr/bin/env bash
here=$(dirname "$0") name=$(basename "$0")
{ printf '%s\\x1f' "$name" "$@"; case " $*" in *filename=-*) cat ;; esac; printf '\\x1e'; } >> "$here/log"
env > "$here/$name.environment"
[ -s "$here/$name.replies" ] || exit 0
read -r status text < "$here/$name.replies"
/bin/sed -i 1d "$here/$name.replies"
printf '%b' "$text"
exit "$status"
"""


class Tools:
    """A folder of fakes that comes first on PATH."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in TOOLS:
            (folder / name).write_text(FAKE)
            (folder / name).chmod(0o755)

    def reply(self, name: str, *replies: tuple[int, str]) -> None:
        """Exit status and output of the next calls of a tool; afterwards 0 and nothing."""
        (self.folder / f"{name}.replies").write_text("".join(f"{status} {text}\n" for status, text in replies))

    def bash(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess:
        """Runs bash with the fakes, from the checkout."""
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder)} | environment
        return subprocess.run(
            ["bash", *map(str, arguments)],
            env=environment,
            cwd=POD.parents[1],
            text=True,
            capture_output=True,
            timeout=60,
        )

    def calls(self) -> list[list[str]]:
        """The calls since this was last asked: name, arguments, standard input (or nothing)."""
        log = self.folder / "log"
        text = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return [call.split("\x1f") for call in text.split("\x1e")[:-1]]

    def environment(self, name: str) -> dict[str, str]:
        """What the last call of a tool found in its environment."""
        lines = (self.folder / f"{name}.environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
