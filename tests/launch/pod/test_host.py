"""Exit statuses and environment checks of what runs on every host."""

import pytest

from launch import train
from launch.main import run
from launch.pod import host
from unimedvlp.errors import UserError


def ends_with(monkeypatch, outcome) -> int:
    """The exit status of a host whose training ends so: a value is returned, an exception raised."""

    def pretend(argv):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(train, "main", pretend)
    try:
        return run(host.main, ["--workdir", "w"])
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(0, 0), (SystemExit(0), 75), (SystemExit(None), 75), (UserError("mend it"), 2), (SystemExit(2), 2)],
    ids=["finished", "stopped by a signal", "stopped", "user error", "wrong option"],
)
def test_exit_status_says_what_to_do_next(outcome, status, monkeypatch):
    assert ends_with(monkeypatch, outcome) == status


def test_a_crash_stays_a_crash(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        ends_with(monkeypatch, ZeroDivisionError())


def test_the_arguments_are_those_of_train(monkeypatch):
    seen = []
    monkeypatch.setattr(train, "main", lambda argv: seen.extend(argv) or 0)
    assert host.main(["--config", "c.py", "--set", "steps=2"]) == 0
    assert seen == ["--config", "c.py", "--set", "steps=2"]


def test_shows_who_the_host_is_and_nothing_private(monkeypatch, capsys):
    monkeypatch.setenv("TPU_WORKER_ID", "3")
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    ends_with(monkeypatch, 0)
    line = capsys.readouterr().out
    assert "TPU_WORKER_ID=3" in line and "hush" not in line


def test_a_bucket_by_its_url_is_refused():
    with pytest.raises(UserError, match="gs://b/runs is a URL: mount the bucket"):
        host.refuse_urls(["--workdir", "gs://b/runs"])
    host.refuse_urls(["--workdir", "/gcs/runs"])


@pytest.mark.parametrize("name", ["UNIMEDVLP_NUM_PROCESSES", "UNIMEDVLP_PROCESS_ID", "JAX_COORDINATOR_ADDRESS"])
def test_numbers_beside_auto_are_stale(name):
    with pytest.raises(UserError, match=f"{name}=1 contradicts UNIMEDVLP_COORDINATOR=auto"):
        host.refuse_stale({"UNIMEDVLP_COORDINATOR": "auto", name: "1"})
    host.refuse_stale({"UNIMEDVLP_COORDINATOR": "10.0.0.1:8476", name: "1"})


@pytest.mark.parametrize(
    ("found", "expected", "stale"), [("2", None, True), ("2", "4", True), ("2", "2", False), ("1", None, False)]
)
def test_slices_of_another_job_are_stale(found, expected, stale):
    environ = {"MEGASCALE_NUM_SLICES": found} | ({"UNIMEDVLP_SLICES": expected} if expected else {})
    if not stale:
        return host.refuse_stale(environ)
    with pytest.raises(UserError, match=r"MEGASCALE_NUM_SLICES=2, but this run has"):
        host.refuse_stale(environ)
