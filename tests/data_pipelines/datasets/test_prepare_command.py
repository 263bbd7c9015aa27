"""The prepare command: what it prints, what it refuses, and that killing it leaves nothing that looks finished."""

import os
import signal
import subprocess
import sys
import time

import pytest

from data_pipelines import datasets
from data_pipelines.builder import prepare
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.images import decode
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import Summary
from launch.main import main
from unimedvlp.errors import UserError


def run(capsys, *argv):
    status = main(["prepare", *map(str, argv)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_prepare_says_what_it_did_and_then_that_it_is_there(capsys, tmp_path):
    argv = ("synthetic", "--out", tmp_path, "--studies", 12, "--size", 32)
    status, out, _ = run(capsys, *argv)
    assert status == 0 and "protocol by-patient" in out and "done" in out and "train" in out
    status, out, _ = run(capsys, *argv)
    assert status == 0 and "already there" in out
    status, _, err = run(capsys, *argv, "--seed", 5)
    assert status == 2 and "made with other options" in err and err.count("\n") == 1
    assert run(capsys, *argv, "--seed", 5, "--overwrite")[0] == 0


def test_summary_shows_expected_counts_and_reasons(capsys, tmp_path, vqa):
    (vqa / "data_RAD/images/synpic4.jpg").unlink()
    status, out, _ = run(capsys, "vqa_rad", "--source", vqa, "--out", tmp_path)
    assert status == 0 and "differs" in out and "2,740" in out and "warning: this split shares" in out
    assert "image file missing" in out and "synpic4/train" in out


def test_resized_images_are_stored_smaller_and_said_to_be(capsys, tmp_path):
    argv = ("synthetic", "--out", tmp_path, "--studies", 6, "--size", 64)
    assert run(capsys, *argv, "--resize", 32)[0] == 0
    folder = tmp_path / "synthetic/by-patient/1.0.0"
    record = PreparedSplit(folder, "train")[0]
    assert decode(record.images[0]).shape == (32, 32, 3) and decode(record.masks[0]).shape == (32, 32, 3)
    assert Summary.load(folder).resize == 32
    status, _, err = run(capsys, *argv)
    assert status == 2 and "resize 32" in err and "--overwrite" in err


def test_list_and_help(capsys):
    status, out, _ = run(capsys, "--list")
    assert status == 0 and all(name in out for name in ("iu_xray", "vqa_rad", "synthetic", "r2gen", "CC0-1.0"))
    with pytest.raises(SystemExit) as end:
        run(capsys, "--help")
    assert end.value.code == 0 and "examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("iu_xra", "--out", "x"), "did you mean iu_xray"),
        (("iu_xray",), "--out DIR"),
        (("iu_xray", "--out", "x"), "--source None is not a folder"),
        (("iu_xray", "--out", "x", "--source", "/nowhere"), "--source /nowhere is not a folder"),
        (("vqa_rad", "--out", "x", "--source", "/", "--studies", "3"), "takes no --studies"),
        (("synthetic", "--out", "x", "--studies", "0"), "--studies >= 1"),
        (("synthetic", "--out", "x", "--workers", "0"), "--workers and --shard-mb must be above 0"),
        (("synthetic", "--out", "x", "--resize", "-1"), "--resize at least 1"),
    ],
)
def test_mistakes_get_one_line(capsys, argv, message):
    status, _, err = run(capsys, *argv)
    assert status == 2 and message in err and err.count("\n") == 1


def test_a_new_file_is_a_new_data_set():
    assert {"iu_xray", "synthetic", "vqa_rad"} <= set(datasets.names())
    for name in datasets.names():
        assert datasets.builder(name).name == name and datasets.builder(name).licence


def test_kill_leaves_nothing_that_looks_finished(tmp_path):
    command = [
        sys.executable,
        "-m",
        "launch.main",
        "prepare",
        "synthetic",
        "--out",
        str(tmp_path),
        "--studies",
        "100000",
    ]
    process = subprocess.Popen(
        [*command, "--size", "32"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    folder = tmp_path / "synthetic" / "by-patient" / "1.0.0"
    started = time.monotonic()
    while not list(tmp_path.rglob("train-*.part")) and process.poll() is None and time.monotonic() - started < 60:
        time.sleep(0.05)
    with pytest.raises(UserError, match="another prepare is writing"):
        prepare(Synthetic(studies=5, size=32), None, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(tmp_path.rglob("train-*.part")) and not list(tmp_path.rglob("dataset_info.json"))
    with pytest.raises(UserError, match="no prepared data set"):
        PreparedSplit(folder, "train")
    prepare(Synthetic(studies=5, size=32), None, tmp_path)
    assert len(PreparedSplit(folder, "train")) > 0
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
