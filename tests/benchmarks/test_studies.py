"""The studies of UniMed: their configs, their files, their table; and the U-Net beside them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import points, results_table, unimed_ablation, unimed_transfer
from unimedvlp.errors import UserError

TINY = str(Path(__file__).parents[2] / "configs/pretrain/unimed.py:tiny")


@pytest.mark.parametrize("point", unimed_ablation.POINTS)
def test_every_point_differs_from_the_full_run_by_its_name_only(point):
    config = unimed_ablation.point_config(TINY, point, seed=3, overrides=["steps=30"])
    assert (config.seed, config.steps) == (3, 30)
    assert config.system.model.composed == (point != "no-composed")
    assert config.system.model.decomposed == (point != "no-decomposed")
    assert (config.system.unsupervised == "none") == (point == "no-unsupervised" or point.startswith("only-"))
    assert list(config.data.train) == (
        [point[5:]] if point.startswith("only-") else ["cells", "labels", "lungs", "unlabelled", "vessels"]
    )
    labelled = point in ("only-labels", *(name for name in unimed_ablation.POINTS if not name.startswith("only-")))
    assert bool(config.system.labels) == bool(config.data.spec.labels) == labelled
    entry, metric = config.best.split("/")
    assert points.LEADS[entry] == metric and entry in config.evals


def test_transfer_points(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    made = {k: unimed_transfer.kind_config(k, "cells", Path("runs/x"), 4, []) for k in unimed_transfer.KINDS}
    assert next(iter(made.values())).steps == 0
    assert [config.start_from for config in made.values()] == ["runs/x", "runs/x", ""]
    assert {config.data.train.cells.shots for config in made.values()} == {100}
    assert {config.seed for config in made.values()} == {4}
    assert {config.system.labels for config in made.values()} == {()}  # a run from scratch knows no labels but its own


def test_finished_points_are_known_and_tabulated(tmp_path):
    path = tmp_path / "deep" / "points.csv"
    assert results_table.rows(path) == []
    for seed, dice in ((0, 0.5), (1, 0.7)):
        row = {"point": "full", "seed": seed, "steps": 10, "batch": 8, "lungs": dice}
        results_table.append(path, row, points.COLUMNS)
    found = results_table.rows(path)
    assert points.known({"point": "full", "seed": "1"}, found) and not points.known({"seed": "2"}, found)
    assert "| full | 10 x 8 | 2 | - | 0.600 ± 0.141 |" in points.table(found)
    with pytest.raises(UserError, match="no columns"):
        results_table.append(path, {"pint": "full"}, points.COLUMNS)
    with pytest.raises(UserError, match="move it away"):
        results_table.append(path, {"a": 1}, ("a", "b"))


def test_unet_keeps_the_size_and_learns_where_the_light_is():
    torch = pytest.importorskip("torch")
    from benchmarks.unimed_unet import UNet

    torch.manual_seed(0)
    images = torch.zeros(4, 3, 32, 32)
    truth = torch.zeros(4, 32, 32)
    for i in range(4):
        images[i, :, 4 * i : 4 * i + 12, 8:20] = 1
        truth[i, 4 * i : 4 * i + 12, 8:20] = 1
    model = UNet(width=4)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(30):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model(images).shape == (4, 32, 32)
    said = (model(images) > 0).numpy()
    assert np.mean(said == truth.numpy().astype(bool)) > 0.95
