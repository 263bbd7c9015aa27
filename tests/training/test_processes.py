"""Two and four processes over gloo train as one does, through a step that is not finite and a restart."""

import socket
import subprocess
import sys

import numpy as np
import pytest
from one_of_several import GLOBAL_BATCHES, OPTIONS
from tiny_system import HERE, QUICK_COMPILE, environment, run

from unimedvlp.training.metrics_file import read_metrics


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_give_the_losses_of_one(count, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    where = {"UNIMEDVLP_COORDINATOR": address, "UNIMEDVLP_NUM_PROCESSES": str(count)}
    common = environment(flags=QUICK_COMPILE) | where
    command = [sys.executable, HERE / "one_of_several.py", tmp_path / "several"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    each = [subprocess.Popen(command, env=common | {"UNIMEDVLP_PROCESS_ID": str(i)}, **pipes) for i in range(count)]
    try:
        outputs = [process.communicate(timeout=600)[0] for process in each]
    finally:
        for process in each:
            process.kill()
    assert [process.returncode for process in each] == [0] * count, "\n".join(outputs)
    assert "barrier ended:" in outputs[0]
    assert "loss" in outputs[0] and not any("loss" in output for output in outputs[1:]), "only process 0 reports"
    assert all("counts [6, 2]" in output for output in outputs), "updates 4 and 5 do not count"

    run(tmp_path / "one", batches=GLOBAL_BATCHES, **OPTIONS)
    one, several = (read_metrics(tmp_path / name) for name in ("one", "several"))
    assert list(one) == list(several) == [2, 4, 6]
    for step in one:
        np.testing.assert_allclose(several[step]["loss"], one[step]["loss"], rtol=1e-5)
