"""Two processes over gloo train as one does."""

import socket
import subprocess
import sys

import numpy as np
from tiny_system import HERE, QUICK_COMPILE, environment, run

from unimedvlp.training.metrics_file import read_metrics


def test_two_processes_give_the_losses_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    common = environment(flags=QUICK_COMPILE) | {"UNIMEDVLP_COORDINATOR": address, "UNIMEDVLP_NUM_PROCESSES": "2"}
    command = [sys.executable, HERE / "one_of_two.py", tmp_path / "two"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, env=common | {"UNIMEDVLP_PROCESS_ID": str(i)}, **pipes) for i in range(2)]
    try:
        outputs = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    assert "barrier ended:" in outputs[0]
    assert "loss" in outputs[0] and "loss" not in outputs[1], "only process 0 reports"

    run(tmp_path / "one", steps=6)
    one, two = (read_metrics(tmp_path / name) for name in ("one", "two"))
    assert list(one) == list(two) == [2, 4, 6]
    for step in one:
        np.testing.assert_allclose(two[step]["loss"], one[step]["loss"], rtol=1e-5)
