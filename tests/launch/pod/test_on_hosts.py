"""The scripts that run on the hosts: when they start training again, and whom they tell that the run has ended."""

import shlex

import pytest
import yaml
from fake_tools import POD

SETTINGS = (POD / "example.env").read_text().replace("\n", "\\n").replace("%", "%%")
GPU = {"DEVICE": "gpu", "SKYPILOT_NODE_IPS": "10.0.0.7\n10.0.0.9", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1"}


def boot(tools, statuses, worker="0", tpu_env=""):
    """Boots a TPU VM whose container ends with one of the statuses after the other; the calls that it made."""
    tools.reply("curl", (0, SETTINGS), (0, worker), (0, tpu_env))
    tools.reply("docker", *[reply for status in statuses for reply in ((0, ""), (status, ""))])  # rm, then run
    tools.reply("mountpoint", (1, ""), (1, ""))
    done = tools.bash(POD / "startup.sh")
    assert done.returncode == 0, done.stderr
    return tools.calls()


def named(calls, *words):
    return [call for call in calls if tuple(call[: len(words)]) == words]


def test_a_vm_mounts_trains_and_gives_the_tpus_back(tools):
    calls = boot(tools, [0])
    data, runs = named(calls, "gcsfuse")
    assert "--only-dir=data" in data and "ro,allow_other" in data and data[-3:-1] == ["my-bucket", "/gcs/data"]
    assert (
        "--only-dir=runs" in runs
        and "--metadata-cache-ttl-secs=0" in runs
        and runs[-3:-1] == ["my-bucket", "/gcs/runs"]
    )
    (train,) = named(calls, "docker", "run")
    assert "--env=UNIMEDVLP_COORDINATOR=auto" in train and "--env=UNIMEDVLP_SLICES=1" in train
    command = shlex.split(train[-2])
    assert command[:4] == ["exec", "python", "-m", "launch.pod.host"]
    assert command[4:8] == ["--workdir", "/gcs/runs/baseline-1", "--data", "/gcs/data"]
    assert command[8:] == ["--config", "configs/pretrain/baseline_synthetic.py", "--set", "batch=32768"]
    assert len(named(calls, "gcloud", "compute", "tpus", "queued-resources", "delete", "baseline-1")) == 1


def test_what_is_mounted_is_not_mounted_again(tools):
    tools.reply("curl", (0, SETTINGS), (0, "0"))
    tools.bash(POD / "startup.sh")
    assert not named(tools.calls(), "gcsfuse")


@pytest.mark.parametrize(
    ("statuses", "trained"),
    [([75, 75, 0], 3), ([1, 134, 0], 3), ([2], 1), ([75] * 12 + [0], 13), ([1] * 12, 10)],
    ids=["preempted", "crashed", "user error", "often preempted", "always crashes"],
)
def test_training_is_started_again_unless_it_has_ended(statuses, trained, tools):
    calls = boot(tools, statuses)
    assert len(named(calls, "docker", "run")) == trained
    assert len(named(calls, "gcloud", "compute", "tpus", "queued-resources", "delete")) == 1


@pytest.mark.parametrize(
    ("worker", "tpu_env", "deletes"),
    [("0", "", 1), ("3", "", 0), ("0", "MEGASCALE_SLICE_ID: '0'", 1), ("0", "MEGASCALE_SLICE_ID: '1'", 0)],
)
def test_only_the_first_worker_of_the_first_slice_ends_the_request(worker, tpu_env, deletes, tools):
    calls = boot(tools, [0], worker, tpu_env)
    assert len(named(calls, "gcloud", "compute", "tpus", "queued-resources", "delete")) == deletes


@pytest.mark.parametrize(("status", "again"), [(0, 0), (1, 0), (2, 0), (75, 1)])
def test_a_slurm_job_queues_again_only_after_a_stop(status, again, tools, settings, tmp_path):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "activate").write_text("")
    tools.reply("srun", (status, ""))
    path = settings(VENV=str(tmp_path / "venv"), ROOT="/shared")
    done = tools.bash(POD / "slurm.sbatch", path, SLURM_JOB_ID="17")
    assert done.returncode == status
    calls = tools.calls()
    assert len(named(calls, "scontrol", "requeue", "17")) == again
    (train,) = named(calls, "srun")
    assert "--kill-on-bad-exit=0" in train, "a process that ends first must not kill those that are still saving"
    assert "python -m launch.pod.host --workdir /shared/runs/baseline-1 --data /shared/data --config" in train[-2]
    assert tools.environment("srun")["UNIMEDVLP_COORDINATOR"] == "auto"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (GPU, {"COORDINATOR": "10.0.0.7:8476", "NUM_PROCESSES": "2", "PROCESS_ID": "1"}),
        (GPU | {"DEVICE": "tpu"}, {"COORDINATOR": "auto"}),
    ],
    ids=["gpu", "tpu"],
)
def test_skypilot_tells_the_processes_who_they_are(environment, expected, tools, tmp_path):
    (tmp_path / "tools" / "unimedvlp-venv" / "bin").mkdir(parents=True)
    (tmp_path / "tools" / "unimedvlp-venv" / "bin" / "activate").write_text("")
    run = yaml.safe_load((POD / "skypilot.yaml").read_text())["run"]
    done = tools.bash("-c", run, RUN="r1", TRAIN="--config c.py --set a='b c'", **environment)
    assert done.returncode == 0, done.stderr
    (call,) = named(tools.calls(), "python")
    assert call[1:-1] == ["-m", "launch.pod.host", "--workdir", "/gcs/runs/r1", "--data", "/gcs/data", "--config", "c.py",
                          "--set", "a=b c"]  # fmt: skip
    found = tools.environment("python")
    assert {name: found.get(f"UNIMEDVLP_{name}") for name in expected} == expected
    assert ("UNIMEDVLP_PROCESS_ID" in found) == ("PROCESS_ID" in expected)
