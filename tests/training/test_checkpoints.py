"""Checkpoints: what is kept, what is refused, and what damage does."""

import errno
import os
import shutil

import jax
import numpy as np
import pytest
from tiny_system import OPTIMIZER, System, batch_at, same_bits

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training import optimizers
from unimedvlp.training.checkpoints import Checkpoints, load_params
from unimedvlp.training.state import abstract_state, create


class Wider(System):
    """The tiny system with one class more."""

    def init(self, rng, batch):
        params = super().init(rng, batch)
        head = params["head"]
        kernel = head["kernel"].replace_boxed(np.zeros((8, 5), np.float32))
        return {**params, "head": {**head, "kernel": kernel}}


def abstract(system=None, config=OPTIMIZER, ema=True):
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    return abstract_state(system or System(), optimizers.make(config, 100), batch_at(0), mesh, ema=ema)


@pytest.fixture(scope="module")
def state():
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    return create(System(), optimizers.make(OPTIMIZER, 100), jax.random.key(0), batch_at(0), mesh, ema=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, state):
    workdir = tmp_path_factory.mktemp("saved")
    with Checkpoints(workdir, keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, state.replace(step=state.step + step))
    return workdir


@pytest.fixture
def workdir(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "run")
    return tmp_path / "run"


def damage(step_dir):
    """Cuts every data file of a checkpoint in half."""
    for path in step_dir.rglob("*"):
        if path.is_file() and path.parent.name == "d":
            os.truncate(path, path.stat().st_size // 2)


def test_newest_is_restored_bit_for_bit_and_only_some_are_kept(workdir, state):
    with Checkpoints(workdir) as checkpoints:
        assert checkpoints.latest_step() == 3
        assert sorted(checkpoints.newest.all_steps()) == [2, 3]
        assert same_bits(checkpoints.restore(abstract()), state.replace(step=state.step + 3))
        assert int(checkpoints.restore(abstract(), step=2).step) == 2


def test_nothing_to_restore_is_none(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(abstract()) is None


def test_half_written_checkpoint_is_ignored_and_removed(workdir):
    left = workdir / "checkpoints" / "9.orbax-checkpoint-tmp"
    shutil.copytree(workdir / "checkpoints" / "3", left)
    with Checkpoints(workdir) as checkpoints:
        assert checkpoints.latest_step() == 3
    assert not left.exists()


def test_damaged_newest_falls_back_says_so_and_makes_room(workdir, state, caplog):
    damage(workdir / "checkpoints" / "3")
    with Checkpoints(workdir) as checkpoints:
        assert int(checkpoints.restore(abstract()).step) == 2
        assert "checkpoints/3 is damaged" in caplog.text
        checkpoints.save(3, state)
        checkpoints.wait()
        assert checkpoints.latest_step() == 3
    assert (workdir / "damaged" / "3").is_dir()


def test_all_damaged_is_an_error_not_a_fresh_start(workdir):
    for step in ("2", "3"):
        damage(workdir / "checkpoints" / step)
    with (
        Checkpoints(workdir) as checkpoints,
        pytest.raises(UserError, match=r"no readable checkpoint \(damaged: 3, 2\)"),
    ):
        checkpoints.restore(abstract())


def test_missing_item_counts_as_damage(workdir):
    shutil.rmtree(workdir / "checkpoints" / "3" / "optimizer")
    with Checkpoints(workdir) as checkpoints:
        assert int(checkpoints.restore(abstract()).step) == 2


def test_other_architecture_is_named(workdir):
    message = r"another architecture: parameter head/kernel is \[8, 4\] in the checkpoint and \[8, 5\] in this run"
    with Checkpoints(workdir) as checkpoints, pytest.raises(UserError, match=message):
        checkpoints.restore(abstract(Wider()))
    with pytest.raises(UserError, match=message):
        load_params(workdir, "newest", abstract(Wider()).params)


def test_other_frozen_parameters_are_named(workdir):
    frozen = abstract(config=OPTIMIZER | {"multipliers": {"stem/.*": 0}}, ema=False)
    with Checkpoints(workdir) as checkpoints, pytest.raises(UserError, match=r"other frozen parameters: entry .*stem"):
        checkpoints.restore(frozen)


def test_average_may_be_dropped_but_not_invented(workdir, state, tmp_path):
    with Checkpoints(workdir) as checkpoints:
        assert checkpoints.restore(abstract(ema=False)).ema is None
    with Checkpoints(tmp_path / "plain") as checkpoints:
        checkpoints.save(1, state.replace(ema=None))
        with pytest.raises(UserError, match="another EMA setting"):
            checkpoints.wait()
            checkpoints.restore(abstract())


def test_best_is_kept_by_value(tmp_path, state):
    with Checkpoints(tmp_path, best_mode="min") as checkpoints:
        shifted = [jax.tree.map(lambda x, n=n: x + n, state.params) for n in range(5)]
        kept = [checkpoints.save_best(s, shifted[s], v) for s, v in enumerate([3.0, 2.0, 2.5, float("nan"), 2.0])]
        assert kept == [True, True, False, False, False]
        checkpoints.wait()
        assert checkpoints.best_so_far() == (1, 2.0)
    with Checkpoints(tmp_path, best_mode="min") as checkpoints:
        assert checkpoints.best_so_far() == (1, 2.0)
        assert same_bits(load_params(tmp_path), shifted[1])
        assert checkpoints.save_best(0, shifted[0], 1.0), "an earlier step of a run gone back may be better"
        checkpoints.wait()
        assert checkpoints.best_so_far() == (0, 1.0)
    assert same_bits(load_params(tmp_path), shifted[0])
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["0"]


def test_parameters_of_the_newest_are_the_averaged_ones(tmp_path, state):
    averaged = jax.tree.map(lambda x: x + 1, state.ema)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state.replace(ema=averaged))
    assert same_bits(load_params(tmp_path, "newest"), averaged)
    assert same_bits(load_params(tmp_path, "newest", abstract().params), averaged)


def test_load_params_says_what_is_missing(tmp_path, workdir):
    with pytest.raises(UserError, match="no trained model here"):
        load_params(tmp_path / "nothing")
    with pytest.raises(UserError, match="no finished checkpoint"):
        load_params(workdir, "best")


def test_load_params_names_a_damaged_checkpoint(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    for path in (tmp_path / "checkpoints" / "1").rglob("*"):
        if path.is_file() and path.name != "_CHECKPOINT_METADATA":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"checkpoints/1 is damaged: "):
        load_params(tmp_path, "newest")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("write: No space left on device")])
def test_full_disk_keeps_the_previous_checkpoint(workdir, state, monkeypatch, error):
    def full(*_, **__):
        raise error

    with pytest.raises(UserError, match="no space left"), Checkpoints(workdir) as checkpoints:
        monkeypatch.setattr(checkpoints.newest, "save", full)
        checkpoints.save(4, state)
    monkeypatch.undo()
    with Checkpoints(workdir) as checkpoints:
        assert int(checkpoints.restore(abstract()).step) == 3


def test_state_may_be_donated_while_it_is_saved(tmp_path, state):
    big = {"w": jax.numpy.arange(4_000_000, dtype=np.float32)}
    overwrite = jax.jit(lambda tree: jax.tree.map(lambda x: x * 0 - 1, tree), donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state.replace(params=big))
        jax.block_until_ready(overwrite(big))
    np.testing.assert_array_equal(load_params(tmp_path, "newest")["w"][::1000], np.arange(0, 4_000_000, 1000))
