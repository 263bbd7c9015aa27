"""The manifests, checked for structure: fields that their schemas know, and agreement with each other."""

import re

import pytest
import yaml
from fake_tools import POD

from launch.pod.host import TRY_AGAIN

ROOT = POD.parents[1]
CONTAINER = {"name", "image", "args", "env", "resources", "volumeMounts"}
POD_SPEC = {
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "serviceAccountName",
    "nodeSelector",
    "containers",
    "volumes",
}
JOB_SPEC = {"parallelism", "completions", "completionMode", "backoffLimit", "podFailurePolicy", "template"}


@pytest.fixture
def jobset(tools, settings):
    """The manifest as kubectl gets it."""
    tools.bash(POD / "jobset.sh", "create", settings(SLICES="2"))
    return yaml.safe_load(tools.calls()[0][-1])


@pytest.fixture
def job(jobset):
    (replicated,) = jobset["spec"]["replicatedJobs"]
    assert set(replicated) == {"name", "replicas", "template"} and replicated["replicas"] == 2
    return replicated["template"]["spec"]


def test_jobset_has_the_fields_of_its_api(jobset, job):
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert set(jobset["spec"]) == {"failurePolicy", "replicatedJobs"}
    assert set(job) == JOB_SPEC and set(job["template"]["spec"]) == POD_SPEC
    (container,) = job["template"]["spec"]["containers"]
    assert set(container) == CONTAINER
    assert "command" not in container, "it would replace the image's entry point, which passes SIGTERM on"


def test_a_job_is_one_slice_with_a_pod_on_every_vm(jobset, job):
    spec = job["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 64 and job["completionMode"] == "Indexed"
    rows, columns = map(int, spec["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    chips = spec["containers"][0]["resources"]["limits"]["google.com/tpu"]
    assert rows * columns == job["parallelism"] * chips
    placement = jobset["metadata"]["annotations"]["alpha.jobset.sigs.k8s.io/exclusive-topology"]
    assert placement == "cloud.google.com/gke-nodepool"


def test_any_failure_restarts_the_set_but_a_user_error_ends_it(jobset, job):
    policy = jobset["spec"]["failurePolicy"]
    assert policy["maxRestarts"] >= 100 and job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a pod failure policy requires it"
    (rule,) = policy["rules"]
    assert rule["action"] == "FailJobSet" and rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", rule["name"])
    (pod_rule,) = job["podFailurePolicy"]["rules"]
    container = job["template"]["spec"]["containers"][0]["name"]
    assert pod_rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": container, "operator": "In", "values": [2]},
    }


def test_data_are_read_only_and_runs_are_not_cached(job):
    spec = job["template"]["spec"]
    assert job["template"]["metadata"]["annotations"]["gke-gcsfuse/volumes"] == "true"
    mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume["csi"] for volume in spec["volumes"]}
    assert set(mounts) == set(volumes) == {"data", "runs"}
    for name, csi in volumes.items():
        options = csi["volumeAttributes"]["mountOptions"].split(",")
        assert csi["driver"] == "gcsfuse.csi.storage.gke.io" and f"only-dir={name}" in options
        assert csi.get("readOnly", False) == mounts[name].get("readOnly", False) == (name == "data")
        assert ("metadata-cache:ttl-secs:0" in options) == (name == "runs")
        assert mounts[name]["mountPath"] == f"/gcs/{name}"


def test_the_command_is_filled_in_as_it_is_written(tools, settings):
    tools.bash(POD / "jobset.sh", "create", settings(TRAIN="""'--set a="b & \\\\ c" d=1'"""))
    (replicated,) = yaml.safe_load(tools.calls()[0][-1])["spec"]["replicatedJobs"]
    (container,) = replicated["template"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["bash", "-c"]
    assert container["args"][2].endswith("""--data /gcs/data --set a="b & \\\\ c" d=1\n""")


def test_no_setting_is_left_unfilled(jobset):
    assert "${" not in yaml.safe_dump(jobset)


def test_skypilot_has_the_fields_of_a_task():
    task = yaml.safe_load((POD / "skypilot.yaml").read_text())
    assert set(task) == {"envs", "resources", "file_mounts", "setup", "run"}
    assert task["file_mounts"] == {"/gcs": {"source": "gs://${BUCKET}", "mode": "MOUNT"}}
    assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [TRY_AGAIN]
    submitted = re.findall(r"--env=(\w+)=", (POD / "skypilot.sh").read_text())
    assert sorted(submitted) == sorted(task["envs"]) and not any(task["envs"].values())


def test_xpk_restarts_what_was_stopped_or_crashed_but_no_user_error():
    codes = re.search(r"--restart-on-exit-codes=([\d,]+)", (POD / "xpk.sh").read_text())[1].split(",")
    assert sorted(map(int, codes)) == [1, TRY_AGAIN]


def test_sbatch_directives():
    lines = (POD / "slurm.sbatch").read_text().splitlines()
    directives = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines if line.startswith("#SBATCH")
    )
    assert directives == {"signal": "TERM@120", "requeue": "", "open-mode": "append", "export": "NONE"}
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first:]), "sbatch reads none after the first command"


def test_dockerfile_copies_what_is_there_and_keeps_its_entry_point():
    text = re.sub(r"\\\n\s*", " ", (POD / "Dockerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0][0] == "FROM"
    assert {name for name, _ in lines} <= {"FROM", "RUN", "ARG", "WORKDIR", "COPY", "ENV", "ENTRYPOINT", "CMD"}
    sources = [word for name, rest in lines if name == "COPY" for word in rest.split()[:-1]]
    assert sources and all((ROOT / source).exists() for source in sources)
    assert dict(lines)["ENTRYPOINT"] == '["tini", "--"]'


def test_the_image_holds_the_packages_and_nothing_else():
    lines = (POD / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "everything is left out unless named"
    kept = {line[1:] for line in patterns if line.startswith("!")}
    assert kept == {
        "LICENSE",
        "README.md",
        "configs",
        "data_pipelines",
        "launch",
        "pyproject.toml",
        "setup.cfg",
        "unimedvlp",
    }
    assert all((ROOT / name).exists() for name in kept)


def test_every_setting_is_explained_and_every_explained_one_is_used():
    explained = re.findall(r"^(\w+)=", (POD / "example.env").read_text(), re.MULTILINE)
    used = set()
    for path in POD.glob("*.sh"):
        for names in re.findall(r'^needs="([^"]+)"', path.read_text(), re.MULTILINE):
            used |= set(names.split())
    assert sorted(explained) == sorted(used)
