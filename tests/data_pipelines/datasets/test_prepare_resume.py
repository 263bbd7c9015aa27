"""A killed prepare, run again: finished shards are used as they are, and the bytes are those of an unbroken run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_pipelines.builder import folder_of, prepare
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.journal import FILE, Journal, fingerprint
from data_pipelines.read import PreparedSplit
from data_pipelines.shards import Shard
from data_pipelines.summary import Entry, SetAside
from unimedvlp.errors import UserError

STUDIES, SIZE, MB = 130, 64, 0.15


def command(out: Path, *more: str) -> list[str]:
    options = f"--studies {STUDIES} --size {SIZE} --shard-mb {MB} --workers 2".split()
    return [sys.executable, "-m", "launch.main", "prepare", "synthetic", "--out", str(out), *options, *more]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def children(pid: int) -> list[int]:
    """All processes below one, by /proc."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {pid})


def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_run_goes_on_with_its_finished_shards(tmp_path):
    builder = Synthetic(studies=STUDIES, size=SIZE)
    prepare(builder, None, tmp_path / "unbroken", shard_mb=MB)
    folder = folder_of(builder, tmp_path / "killed", "by-patient")
    scratch = folder.parent / f"incomplete.{folder.name}"
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, env=environment)
    until(lambda: len(list(scratch.glob("*.shard"))) >= 2 and list(scratch.glob("*.part")))
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert workers
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))

    finished = {path.name: path.stat().st_ino for path in scratch.glob("*.shard")}
    assert (
        list(scratch.glob("*.part")) and not folder.exists() and not list(tmp_path.glob("killed/**/dataset_info.json"))
    )
    with pytest.raises(UserError, match="no prepared data set"):
        PreparedSplit(scratch, "train")

    again = subprocess.run(command(tmp_path / "killed"), capture_output=True, text=True, env=environment)
    assert again.returncode == 0 and f"going on after {len(finished)} finished shards" in again.stderr, again.stderr
    for name, inode in finished.items():
        split, number = name.removesuffix(".shard").split("-")
        [path] = folder.glob(f"synthetic-{split}.array_record-{number}-of-*")
        assert path.stat().st_ino == inode
    assert contents(folder) == contents(folder_of(builder, tmp_path / "unbroken", "by-patient"))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


ENTRIES = [Entry("train", f"s{i}", f"p{i}", "", {"images": 1}, ("text",), ("00",)) for i in range(4)]
RUN = {"name": "toy"}


def noted(folder: Path) -> None:
    """A run of four records and a set-aside that stopped after its first shard, which holds two records."""
    journal = Journal(folder, RUN)
    for i, entry in enumerate(ENTRIES[:2]):
        journal.note(i, [entry])
    shard = Shard("train", 0, 2, 10)
    shard.path(folder).write_bytes(b"two records")
    journal.finish(shard)
    journal.note(2, [ENTRIES[2], SetAside("x", "bad")])
    journal.note(3, [SetAside("y", "bad"), None])
    journal.close()


def test_what_lies_in_finished_shards_is_done(tmp_path):
    noted(tmp_path)
    (tmp_path / "train-00001.x.part").write_bytes(b"half")
    again = Journal(tmp_path, RUN)
    assert sorted(again.done) == [0, 1, 3]
    assert again.done[3] == [SetAside("y", "bad"), None] and again.done[0][0].study_id == "s0"
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "train-00000.shard"]


@pytest.mark.parametrize("change", ["another run", "a shard is gone"])
def test_another_run_begins_anew(tmp_path, change):
    noted(tmp_path)
    if change == "a shard is gone":
        (tmp_path / "train-00000.shard").unlink()
    again = Journal(tmp_path, RUN if change == "a shard is gone" else {"name": "other"})
    assert not again.done and not again.shards and [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_line_that_was_cut_off_is_removed(tmp_path):
    noted(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"item": 4, "outc')
    Journal(tmp_path, RUN)
    assert path.read_bytes() == whole


def test_a_changed_source_is_not_mixed_with_the_old_one(tmp_path, vqa):
    before = fingerprint(vqa)
    assert fingerprint(vqa) == before
    (vqa / "data_RAD/images/synpic4.jpg").write_bytes(b"other")
    assert fingerprint(vqa) != before
