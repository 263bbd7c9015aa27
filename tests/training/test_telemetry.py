"""Speed, MFU, goodput, memory, profile and watchdog."""

import json
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from tiny_system import BATCH, CLASSES, HERE, WIDTH, batch_at, environment, run

from unimedvlp.errors import UserError
from unimedvlp.training import goodput
from unimedvlp.training.devices import peak_tflops
from unimedvlp.training.goodput import Goodput
from unimedvlp.training.metrics_file import read_metrics
from unimedvlp.training.profile import Profile


def test_speed_and_mfu_agree_with_the_work_of_a_step(tmp_path):
    run(tmp_path, peak_tflops=1e-3)
    row = read_metrics(tmp_path)[4]
    np.testing.assert_allclose(row["images_per_s"] * row["step_s"], BATCH)
    by_hand = 3 * 2 * BATCH * (2 * WIDTH * 2 * WIDTH * 2 + WIDTH * CLASSES) + 2 * 2 * BATCH * 3 * WIDTH
    np.testing.assert_allclose(row["tflops_per_device"] * row["step_s"] * jax.device_count() * 1e12, by_hand)
    np.testing.assert_allclose(row["mfu"] * row["step_s"] * 1e9, by_hand)
    assert 0 <= row["input_wait"] <= 1 and 0 < row["goodput"] < 1 and row["host_gib"] > 0.05


def test_without_a_known_peak_there_is_no_mfu(unbroken):
    rows = read_metrics(unbroken[0])
    assert all("mfu" not in row and row["tflops_per_device"] > 0 for row in rows.values())


def test_peaks_are_found_by_the_names_that_jax_gives():
    kinds = ("TPU v5 lite", "TPU v5p", "TPU v5", "TPU v6 lite", "NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "cpu")
    assert [peak_tflops(kind) for kind in kinds] == [197, 459, 459, 918, 989, 756, None]


def test_waiting_for_input_is_seen(tmp_path):
    def slowly(step):
        time.sleep(0.05)
        return batch_at(step)

    run(tmp_path, batches=slowly)
    assert read_metrics(tmp_path)[8]["input_wait"] > 0.7


def test_goodput_counts_what_a_checkpoint_holds_over_all_time(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(goodput.time, "time", lambda: now[0])
    first = Goodput(tmp_path, 0)
    first.add(30)
    first.saved(100)
    first.add(20)  # lost with the process
    now[0] += 100
    assert first.share() == 0.5
    second = Goodput(tmp_path, 100)
    assert (second.begun, second.starts, second.productive_s) == (1000.0, 2, 30)
    second.add(30)
    second.saved(200)
    second.back_to(100)
    assert second.productive_s == 30 and second.share() == 0.3
    Goodput(tmp_path, 100, write=False)
    assert json.loads((tmp_path / goodput.NAME).read_text())["starts"] == 2


def test_goodput_of_a_run_survives_its_restart(tmp_path):
    def broken(step):
        if step == 6:
            raise OSError("cable")
        return batch_at(step)

    with pytest.raises(OSError, match="cable"):
        run(tmp_path, batches=broken)
    held = json.loads((tmp_path / goodput.NAME).read_text())
    assert set(held["productive_s"]) == {"4"} and 0 < held["productive_s"]["4"] < 60
    run(tmp_path)
    again = json.loads((tmp_path / goodput.NAME).read_text())
    assert again["starts"] == 2 and again["begun"] == held["begun"]
    assert again["productive_s"]["12"] > again["productive_s"]["4"] == held["productive_s"]["4"]


def test_chosen_steps_are_traced(tmp_path):
    run(tmp_path, profile=[2, 3])
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    found = trace.read_bytes()
    assert b"train" in found and b"jit_step" in found
    with pytest.raises(UserError, match=r"profile.steps: \[3\] must be empty or \[first, last\]"):
        Profile(tmp_path, [3])


@pytest.mark.parametrize("beats", [0, 3])
def test_a_process_that_stands_still_shows_where_and_ends(beats):
    code = f"""
import time
from unimedvlp.training.watchdog import Watchdog

def waits_for_ever():
    time.sleep(100)

with Watchdog(0.01) as watchdog:
    for _ in range({beats}):
        watchdog.beat()
        time.sleep(0.3)
        watchdog.rest()
    time.sleep(0.8)
    print("resting is allowed", flush=True)
    watchdog.beat()
    waits_for_ever()
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "resting is allowed" in done.stdout
    assert "Timeout (0:00:00.6" in done.stderr and "in waits_for_ever" in done.stderr


def test_a_step_that_hangs_ends_the_run(tmp_path, compilation_cache):
    code = f"""
import threading
import tiny_system

def stuck(step):
    if step == 3:
        threading.Event().wait()
    return tiny_system.batch_at(step)

tiny_system.run({str(tmp_path)!r}, batches=stuck, hang_minutes=0.02)
"""
    where = environment() | {"PYTHONPATH": f"{HERE.parents[1]}:{HERE}"}
    done = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "in stuck" in done.stderr and "prefetch.py" in done.stderr
