"""A real training process that is killed or asked to stop, and the run that goes on from what it left."""

import random
import signal
import subprocess
import sys
import time

import pytest
from tiny_system import HERE, environment, run, same_bits

from unimedvlp.training.checkpoints import Checkpoints


def start(workdir, *options):
    """A slow run of 12 steps as a process; `options` as in tiny_system.main."""
    command = [sys.executable, HERE / "tiny_system.py", workdir, "12", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment(), **pipes)


@pytest.fixture
def training(tmp_path, compilation_cache):
    """(process, workdir) of a run that has taken batch 6."""
    with start(tmp_path) as process:
        try:
            for line in process.stdout:
                if line.startswith("batch 6"):
                    break
            yield process, tmp_path
        finally:
            process.kill()


def half_written(workdir):
    return any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))


def test_killed_run_resumes_to_the_same_bits(training, unbroken):
    process, workdir = training
    delay = random.uniform(0, 0.3)
    time.sleep(delay)
    process.kill()
    process.wait()
    left = sorted(path.name for path in (workdir / "checkpoints").iterdir())
    assert same_bits(run(workdir), unbroken[1]), f"killed {delay:.3f} s after batch 6, leaving {left}"
    assert all(path.name.isdigit() for path in (workdir / "checkpoints").iterdir())


@pytest.mark.slow
def test_ten_kills_at_any_moment_end_in_the_same_bits(tmp_path, unbroken):
    """Every second one falls into the writing of a checkpoint, the others anywhere from the first batch on."""
    generator, cut, left = random.Random(0), 0, []
    for attempt in range(10):
        with start(tmp_path, "1", "0.3") as process:
            if attempt % 2:
                while process.poll() is None and not half_written(tmp_path):
                    time.sleep(0.001)
            else:
                next((line for line in process.stdout if line.startswith("batch")), None)
                time.sleep(generator.uniform(0, 0.6))
            process.kill()
        cut += half_written(tmp_path)
        left.append(sorted(path.name for path in (tmp_path / "checkpoints").glob("*")))
    assert cut >= 3, f"too few kills met a checkpoint that was being written: {left}"
    assert same_bits(run(tmp_path), unbroken[1]), left


def test_sigterm_saves_says_so_and_exits_well(training, unbroken):
    process, workdir = training
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    with Checkpoints(workdir) as checkpoints:
        step = checkpoints.latest_step()
    assert 4 < step < 12 and f"saved step {step}" in out
    assert same_bits(run(workdir), unbroken[1])
