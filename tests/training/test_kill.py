"""A real training process that is killed or asked to stop, and the run that goes on from what it left."""

import random
import signal
import subprocess
import sys
import time

import pytest
from tiny_system import HERE, environment, run, same_bits

from unimedvlp.training.checkpoints import Checkpoints


@pytest.fixture
def training(tmp_path, compilation_cache):
    """(process, workdir) of a slow run of 12 steps that has taken batch 6."""
    command = [sys.executable, HERE / "tiny_system.py", tmp_path, "12"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        try:
            for line in process.stdout:
                if line.startswith("batch 6"):
                    break
            yield process, tmp_path
        finally:
            process.kill()


def test_killed_run_resumes_to_the_same_bits(training, unbroken):
    process, workdir = training
    delay = random.uniform(0, 0.3)
    time.sleep(delay)
    process.kill()
    process.wait()
    left = sorted(path.name for path in (workdir / "checkpoints").iterdir())
    assert same_bits(run(workdir), unbroken[1]), f"killed {delay:.3f} s after batch 6, leaving {left}"
    assert all(path.name.isdigit() for path in (workdir / "checkpoints").iterdir())


def test_sigterm_saves_says_so_and_exits_well(training, unbroken):
    process, workdir = training
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    with Checkpoints(workdir) as checkpoints:
        step = checkpoints.latest_step()
    assert 4 < step < 12 and f"saved step {step}" in out
    assert same_bits(run(workdir), unbroken[1])
