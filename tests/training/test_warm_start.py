"""A run that begins with another one's weights."""

import jax
import numpy as np
import pytest
from tiny_system import OPTIMIZER, System, batch_at

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training import optimizers
from unimedvlp.training.checkpoints import Checkpoints
from unimedvlp.training.state import create
from unimedvlp.training.warm_start import warm_start

MESH = make_mesh({"data": 1}, jax.devices()[:1])


def fresh(seed, ema=True):
    return create(System(), optimizers.make(OPTIMIZER, 4), jax.random.key(seed), batch_at(0), MESH, ema=ema)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir, state = tmp_path_factory.mktemp("trained"), fresh(1)
    state = state.replace(ema=jax.tree.map(lambda x: x + 1.0, state.ema))
    with Checkpoints(workdir) as checkpoints:
        checkpoints.save(0, state)
    (workdir / "best").mkdir(exist_ok=True)  # there, but empty, where no metric chooses
    return workdir, state


def test_weights_and_average_are_the_other_runs_average(trained):
    workdir, old = trained
    new = warm_start(fresh(2), workdir)
    for tree in (new.params, new.ema):
        jax.tree.map(np.testing.assert_array_equal, tree, old.ema)
    assert int(new.step) == 0
    places = [x.addressable_data(0).unsafe_buffer_pointer() for x in jax.tree.leaves((new.params, new.ema))]
    assert len(set(places)) == len(places), "a step donates both: none may share memory"
    assert warm_start(fresh(2, ema=False), workdir).ema is None


def test_what_does_not_fit_stays_and_is_named_and_nothing_at_all_is_an_error(trained, capsys):
    workdir, old = trained
    state = fresh(2)
    wider = {**state.params, "head": jax.tree.map(lambda x: np.zeros((3, *x.shape)), state.params["head"])}
    wider["head"] = jax.device_put(wider["head"])
    wider["tail"] = {"bias": jax.device_put(np.zeros(2))}
    new = warm_start(state.replace(params=wider, ema=None), workdir)
    said, differ = capsys.readouterr().out, len(jax.tree.leaves(wider["head"]))
    kept = len(jax.tree.leaves(state.params)) - differ
    assert f"{workdir}: {kept} of {kept + differ + 1} parameters taken; {differ} of another shape" in said
    shape = tuple(state.params["head"]["kernel"].shape)
    assert f"head/kernel {shape} there, {(3, *shape)} here" in said
    assert said.endswith("1 that it lacks keep their initial values: tail/bias\n")
    jax.tree.map(np.testing.assert_array_equal, new.params["head"], wider["head"])
    jax.tree.map(np.testing.assert_array_equal, new.params["stem"], old.ema["stem"])
    with pytest.raises(UserError, match="none of its parameters fits"):
        warm_start(state.replace(params={"head": wider["head"]}, ema=None), workdir)


def test_what_is_left_out_is_drawn_anew_and_counted(trained, capsys):
    workdir, old = trained
    state = fresh(2)
    new = warm_start(state, workdir, ["head/.*"])
    count = len(jax.tree.leaves(state.params["head"]))
    assert f"; {count} of head drawn anew" in capsys.readouterr().out
    jax.tree.map(np.testing.assert_array_equal, new.params["head"], state.params["head"])
    jax.tree.map(np.testing.assert_array_equal, new.params["stem"], old.ema["stem"])
    with pytest.raises(UserError, match=r"no parameter matches \['haed/\.\*'\]; they begin with head"):
        warm_start(state, workdir, ["haed/.*"])
    with pytest.raises(UserError, match="is no regular expression"):
        warm_start(state, workdir, ["("])
