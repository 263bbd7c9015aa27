"""kill -9 in mid-training, then the same command again: the same bits as an unbroken run, with the real command line."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
from small_run import CONFIG, ROOT, SMALL

from unimedvlp.training.checkpoints import load_params


def start(data, workdir, cache):
    command = [sys.executable, "-m", "launch.train", "--config", CONFIG, "--data", str(data), "--workdir", str(workdir)]
    overrides = [*SMALL, "steps=40", "save_every=4", "evaluate_every=0", "best="]
    evals = ["evals.report.limit=4", "evals.findings.limit=4", "evals.answer.limit=4"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [*command, "--set", *overrides, *evals], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def test_killed_and_resumed_equals_unbroken(data, tmp_path):
    finish(start(data, tmp_path / "unbroken", tmp_path / "cache"))
    process = start(data, tmp_path / "killed", tmp_path / "cache")
    deadline = time.time() + 240
    while not any((tmp_path / "killed" / "checkpoints").glob("[48]")) and time.time() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "resumed from step" in finish(start(data, tmp_path / "killed", tmp_path / "cache"))
    ours, theirs = (load_params(tmp_path / name, "newest") for name in ("killed", "unbroken"))
    same = jax.tree.map(lambda a, b: np.array_equal(np.asarray(a), np.asarray(b)), ours, theirs)
    assert all(jax.tree.leaves(same))
