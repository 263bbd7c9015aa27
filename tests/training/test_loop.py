"""The loop: order, resume, best, and the stop at a loss that is not finite."""

import functools
import signal

import numpy as np
import pytest
from tiny_system import batch_at, run, same_bits

from unimedvlp.errors import UserError
from unimedvlp.training.checkpoints import Checkpoints, load_params
from unimedvlp.training.metrics_file import read_metrics


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


def test_skip_goes_on_and_counts(tmp_path):
    state = run(tmp_path, batches=functools.partial(batch_at, bad=[6]), on_nonfinite="skip")
    assert int(state.step) == 12 and int(state.skipped) == 1


def test_ctrl_c_saves(tmp_path, capsys):
    def batches(step):
        if step == 6:
            signal.raise_signal(signal.SIGINT)
        return batch_at(step)

    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, batches=batches)
    assert stopped.value.code == 0
    assert f"saved step {latest(tmp_path)}" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"16 samples do not divide into 3 equal parts.*nearest batch size is 15"):
        run(tmp_path, accumulate=3)


def test_a_run_trained_beyond_its_end_is_refused(tmp_path, unbroken):
    with pytest.raises(UserError, match="already trained to step 12, beyond the 8"):
        run(unbroken[0], steps=8)
