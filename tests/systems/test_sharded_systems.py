"""Every system trains on 8 devices as on one, however they are laid out, and its parameters are spread over them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sharded_systems

from unimedvlp import systems

HERE = Path(__file__).resolve().parent
FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"


def run(name, out, *meshes):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[1]), "XLA_FLAGS": FLAGS}
    command = [sys.executable, HERE / "sharded_systems.py", out, name, *meshes]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    for mesh in meshes:
        np.testing.assert_allclose(found[mesh]["rows"], found["one"]["rows"], rtol=1e-5, err_msg=mesh)
    return found


def test_no_system_is_left_out():
    assert set(sharded_systems.CASES) == set(systems.names()), "give each system a case in sharded_systems.py"


@pytest.mark.parametrize("name", ["baseline", "codes", "unimed"])  # the others take minutes to compile
def test_a_mesh_of_all_kinds_gives_the_losses_of_one_device(name, tmp_path):
    run(name, tmp_path / "found.json", "mixed")


@pytest.mark.slow
@pytest.mark.parametrize("name", systems.names())
def test_every_mesh_gives_the_losses_of_one_device(name, tmp_path):
    found = run(name, tmp_path / "found.json", *sharded_systems.MESHES)
    assert found["data"]["held"] == 1 > found["fsdp"]["held"], "fsdp spreads parameters"
