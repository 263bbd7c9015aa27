"""UniMed from pre-training to transfer on the synthetic set: every command of the studies, with steps for minutes only."""

import pytest

from benchmarks import results_table, unimed_ablation, unimed_transfer
from launch.main import main

pytestmark = pytest.mark.slow
ROOT_CONFIG = "configs/pretrain/unimed.py:synthetic"
SMALL = [
    "batch=4", "data.spec.image_size=64", "data.spec.mask_size=16", "data.spec.objects=4", "data.threads=1",
    "system.points=64", "system.model.width=32", "system.model.mlp=32", "system.model.heads=2", "system.model.queries=12",
    "system.model.decomposed_depth=1", "system.model.composed_depth=1", "tokenizer.size=300",
    "system.model.backbone.widths=[32,32,32,32]", "evals.lungs.limit=4", "evals.lesions.limit=4", "evals.labels.limit=4",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def root(request, monkeypatch_module):
    monkeypatch_module.chdir(request.config.rootpath)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_zero_shot_hundred_shot_and_scratch(data, tmp_path):
    pretrained = tmp_path / "pretrained"
    small = [*SMALL, "steps=2", "optimizer.warmup=1"]
    arguments = ["train", "--config", ROOT_CONFIG, "--data", str(data), "--workdir", str(pretrained), "--set", *small]
    assert main(arguments) == 0
    out = tmp_path / "transfer.csv"
    few = [*SMALL, "data.train.labelled.shots=8", "steps=2", "optimizer.warmup=1"]
    command = ["--pretrained", str(pretrained), "--entry", "synthetic", "--data", str(data), "--out", str(out)]
    command += ["--runs", str(tmp_path / "runs"), "--seeds", "0", "--split", "validation", "--set", *few]
    unimed_transfer.main(command)
    found = results_table.rows(out)
    assert [row["point"] for row in found] == [f"synthetic {kind}" for kind in unimed_transfer.KINDS]
    assert all(0 <= float(row["lungs"]) <= 1 for row in found)
    unimed_transfer.main(command)
    assert results_table.rows(out) == found


def test_two_stages_are_one_point(data, tmp_path):
    out = tmp_path / "ablation.csv"
    command = ["--config", ROOT_CONFIG, "--data", str(data), "--runs", str(tmp_path / "runs"), "--seeds", "0"]
    command += ["--only", "two-stage", "--split", "validation", "--out", str(out)]
    unimed_ablation.main([*command, "--set", *SMALL, "steps=3", "optimizer.warmup=0"])
    (row,) = results_table.rows(out)
    assert (row["point"], row["steps"]) == ("two-stage", "3")
