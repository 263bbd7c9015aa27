"""The ring gives what the plain losses give, on one device and on eight, in memory linear in the local batch."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import ring_runs

from unimedvlp.objectives import contrast, ring_contrast

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    out = tmp_path_factory.mktemp("ring") / "out.npz"
    flags = f"--xla_force_host_platform_device_count={ring_runs.DEVICES} --xla_backend_optimization_level=0"
    variables = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[1]), "XLA_FLAGS": flags}
    command = [sys.executable, HERE / "ring_runs.py", out]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return np.load(out)


@pytest.fixture(scope="module", params=ring_runs.LOSSES)
def dense(request):
    """(name, results of the plain loss)"""
    run = jax.jit(ring_runs.gradients(contrast, request.param))
    return request.param, jax.tree.leaves(run(*ring_runs.inputs()))


@pytest.mark.parametrize("tile", [5, 100])
def test_tiles_on_one_device_equal_the_plain_loss(dense, tile):
    name, expected = dense
    found = jax.tree.leaves(jax.jit(ring_runs.gradients(ring_contrast, name, tile=tile))(*ring_runs.inputs()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mesh", [*ring_runs.MESHES, "explicit"])
def test_every_mesh_equals_the_plain_loss(dense, eight, mesh):
    name, expected = dense
    for i, value in enumerate(expected):
        np.testing.assert_allclose(eight[f"{name}/{mesh}/{i}"], value, rtol=1e-5, atol=1e-6)


def test_memory_is_linear_in_the_local_batch(eight):
    (small, first), (large, second) = eight["memory/ring"]
    assert large <= 2.1 * small and second == 2 * first
    (dense_small, dense_first), (dense_large, dense_second) = eight["memory/dense"]
    assert dense_large > 3 * dense_small and dense_second == 4 * dense_first  # so the measure does see what grows
    assert large < dense_large / 4


def test_low_precision_keeps_its_type_and_nothing_valid_is_nothing():
    a, b, scale, bias, groups, valid = ring_runs.inputs()
    for name in ring_runs.LOSSES:
        run = jax.jit(ring_runs.gradients(ring_contrast, name))
        (loss, _), (da, *_) = run(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), scale, bias, groups, valid)
        assert loss.dtype == jnp.float32 and da.dtype == jnp.bfloat16 and jnp.isfinite(da).all()
        (loss, _), gradients = run(a, b, scale, bias, groups, jnp.zeros_like(valid))
        assert loss == 0 and all((g == 0).all() for g in gradients)
