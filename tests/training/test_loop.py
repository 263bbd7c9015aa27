"""The loop: order, resume, best, and the stop at a loss that is not finite."""

import functools
import re
import signal

import jax
import numpy as np
import pytest
from tiny_system import OPTIMIZER, System, batch_at, run, same_bits

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.training import optimizers
from unimedvlp.training.checkpoints import Checkpoints, load_params
from unimedvlp.training.metrics_file import read_metrics
from unimedvlp.training.state import abstract_state


def abstract():
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    return abstract_state(System(), optimizers.make(OPTIMIZER, 12), batch_at(0), mesh, ema=True)


def latest(workdir):
    with Checkpoints(workdir) as checkpoints:
        return checkpoints.latest_step()


def test_it_learns_and_writes_its_figures(unbroken):
    workdir, state = unbroken
    rows = read_metrics(workdir)
    assert list(rows) == [2, 4, 6, 8, 10, 12] and int(state.step) == 12
    assert abs(rows[2]["loss"] - np.log(4)) < 1.0 and rows[12]["loss"] < 0.7 * rows[2]["loss"]
    assert {"images_per_s", "input_wait", "learning_rate", "grad_norm", "tokens", "share"} <= rows[12].keys()
    assert "compile_s" in rows[2] and "compile_s" not in rows[4]
    assert list((workdir / "tensorboard").iterdir())


def test_evaluates_before_it_saves_and_at_the_end(tmp_path):
    seen = []

    def evaluate(state, step):
        begun = [path.name for path in (tmp_path / "checkpoints").glob(f"{step}*")]
        seen.append((step, int(state.step), begun))
        return {"validation/loss": abs(step - 5.0)}

    run(tmp_path, steps=10, evaluate=evaluate, eval_every=4, best="validation/loss", best_mode="min")
    assert seen == [(4, 4, []), (8, 8, []), (10, 10, [])]
    with Checkpoints(tmp_path, best_mode="min") as checkpoints:
        assert checkpoints.best_so_far() == (4, 1.0)
    assert read_metrics(tmp_path)[8]["validation/loss"] == 3.0
    with pytest.raises(UserError, match="no evaluated value is named 'loss'; there are validation/loss"):
        run(tmp_path, steps=10, evaluate=evaluate, best="loss")


def test_resumes_and_repeats_no_batch(tmp_path, unbroken):
    taken = []

    def broken(step, at):
        taken.append(step)
        if step == at:
            raise OSError("cable")
        return batch_at(step)

    with pytest.raises(OSError, match="cable") as raised:
        run(tmp_path, batches=functools.partial(broken, at=6))
    assert raised.value.__notes__ == ["while preparing the batch of step 6"]
    assert latest(tmp_path) == 4
    taken.clear()
    assert same_bits(run(tmp_path, batches=functools.partial(broken, at=-1)), unbroken[1])
    assert taken == [0, *range(4, 12)], "batch 0 is asked for its shapes"


def test_an_error_in_the_data_names_the_step(tmp_path):
    def broken(step):
        if step == 3:
            raise UserError("record 7: unreadable image")
        return batch_at(step)

    with pytest.raises(UserError, match="batch of step 3: record 7: unreadable image"):
        run(tmp_path, batches=broken)


def test_stops_before_anything_not_finite_is_saved(tmp_path):
    batches = functools.partial(batch_at, bad=[6])
    message = r"step 7 is not finite: share = inf, loss = inf|step 7 is not finite: .*share = inf"
    with pytest.raises(UserError, match=message):
        run(tmp_path, batches=batches, log_every=100)
    assert latest(tmp_path) == 4
    assert np.all(np.isfinite(load_params(tmp_path, "newest")["head"]["kernel"]))


def test_skip_goes_on_counts_and_says_so(tmp_path, capsys):
    state = run(tmp_path, batches=functools.partial(batch_at, bad=[6, 9]), on_nonfinite="skip")
    assert int(state.step) == 12 and int(state.skipped) == 2
    rows = read_metrics(tmp_path)
    assert [rows[step].get("nonfinite") for step in (6, 8, 10)] == [None, 1, 2]
    assert re.search(
        r"step 7 is not finite \(.*share = inf.*\): its update is left out; 1 so far", capsys.readouterr().out
    )


def test_rollback_goes_on_from_the_checkpoint_with_the_next_batch(tmp_path):
    bad = functools.partial(batch_at, bad=[6])
    state = run(tmp_path / "back", batches=bad, on_nonfinite="rollback")
    assert int(state.step) == 12 and int(state.skipped) == 3, "updates 5, 6 and 7 do not count"
    with pytest.raises(UserError):
        run(tmp_path / "by_hand", batches=bad)
    with Checkpoints(tmp_path / "by_hand") as checkpoints:
        saved = checkpoints.restore(abstract())
        assert int(saved.step) == 4
        checkpoints.save(7, saved.replace(step=saved.step + 3, skipped=saved.skipped + 3))
    assert same_bits(run(tmp_path / "by_hand", batches=bad), state)


def test_rollback_does_not_depend_on_when_it_is_noticed(tmp_path):
    states = [
        run(
            tmp_path / str(every),
            batches=functools.partial(batch_at, bad=[2, 6]),
            on_nonfinite="rollback",
            log_every=every,
        )
        for every in (1, 12)
    ]
    assert same_bits(*states)


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_too_many_steps_that_are_not_finite_end_the_run(tmp_path, policy):
    options = {"on_nonfinite": policy, "nonfinite_limit": 2}
    with pytest.raises(UserError, match=r"step 9 is not finite: .*; 3 such steps since the start are more than"):
        run(tmp_path, batches=functools.partial(batch_at, bad=[5, 7, 8]), **options)
    with pytest.raises(UserError, match="'stopp' is unknown; use one of stop, skip, rollback"):
        run(tmp_path, on_nonfinite="stopp")


def test_the_clock_can_ask_for_a_checkpoint(tmp_path):
    run(tmp_path, save_every=0, save_minutes=1e-9, log_every=4, keep=9)
    with Checkpoints(tmp_path, keep=9) as checkpoints:
        assert sorted(checkpoints.newest.all_steps()) == [0, 4, 8, 12]


def test_ctrl_c_saves(tmp_path, capsys):
    before = signal.getsignal(signal.SIGINT)

    def batches(step):
        if step == 6:
            signal.raise_signal(signal.SIGINT)
        return batch_at(step)

    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, batches=batches)
    assert stopped.value.code == 0
    assert f"saved step {latest(tmp_path)}" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"16 samples do not divide into 3 equal parts.*nearest batch size is 15"):
        run(tmp_path, accumulate=3)


def test_a_run_trained_beyond_its_end_is_refused(tmp_path, unbroken):
    with pytest.raises(UserError, match="already trained to step 12, beyond the 8"):
        run(unbroken[0], steps=8)
