"""Eight simulated devices give what one gives, and their checkpoint opens on one."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import sharded_runs
from tiny_system import HERE, OPTIMIZER, QUICK_COMPILE, System, batch_at, environment, same_bits

from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training import optimizers
from unimedvlp.training.checkpoints import Checkpoints
from unimedvlp.training.state import abstract_state


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    out = tmp_path_factory.mktemp("eight")
    command = [sys.executable, HERE / "sharded_runs.py", out]
    done = subprocess.run(command, env=environment(8, QUICK_COMPILE), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def one():
    return sharded_runs.steps(make_mesh({"data": 1}, jax.devices()[:1]))


@pytest.mark.parametrize("name", sharded_runs.MESHES)
def test_every_mesh_gives_the_losses_of_one_device(eight, one, name):
    rows = json.loads((eight / "rows.json").read_text())
    np.testing.assert_allclose(rows[name], one[1], rtol=1e-5)


def test_microbatches_are_spread_over_the_devices_without_changing_the_result(eight):
    _, expected = sharded_runs.steps(make_mesh({"data": 1}, jax.devices()[:1]), accumulate=2)
    rows = json.loads((eight / "rows.json").read_text())
    np.testing.assert_allclose(rows["accumulated"], expected, rtol=1e-5)


def test_optimizer_state_and_average_are_laid_out_like_the_parameters(eight):
    specs = json.loads((eight / "specs.json").read_text())
    assert set(specs) == {"params", "ema", "adam"}
    assert list(specs.values()) == [[None, "fsdp", "tensor"]] * 3


def test_checkpoint_of_eight_devices_opens_on_four_and_on_one(eight, one):
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    abstract = abstract_state(System(), optimizers.make(OPTIMIZER, 12), batch_at(0), mesh, ema=True)
    with Checkpoints(eight) as checkpoints, Checkpoints(eight / "four") as moved:
        state = checkpoints.restore(abstract)
        assert same_bits(moved.restore(abstract), state)
    assert int(state.step) == sharded_runs.STEPS
    np.testing.assert_array_equal(state.params["stack"]["up"]["kernel"], np.load(eight / "params.npz")["up"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), state.params, one[0].params)
