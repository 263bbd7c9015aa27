"""UniMed's step on eight simulated devices gives what it gives on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import unimed_runs

from unimedvlp.parallel.mesh import make_mesh

HERE = Path(__file__).parent


def test_every_mesh_gives_the_step_of_one_device(tmp_path):
    out = tmp_path / "rows.json"
    flags = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        [sys.executable, HERE / "unimed_runs.py", out], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    one = unimed_runs.steps(make_mesh({"data": 1}, jax.devices()[:1]))
    assert np.isfinite(one).all()
    for name, rows in json.loads(out.read_text()).items():
        np.testing.assert_allclose(rows, one, rtol=2e-4, err_msg=name)
