"""The ladder's points: what each one trains, and that finished ones are not run again."""

import pytest

from benchmarks import unidcp_ladder as ladder
from benchmarks.results_table import rows


@pytest.mark.parametrize("rung", ["scratch", "A0", "A2", "A7"])
def test_a_point_is_its_rung_and_seed(rung):
    config = ladder.pretraining("iu_xray", rung, 2, ["steps=30"])
    assert (config.seed, config.steps, config.evaluate_every) == (2, 30, 0)
    assert config.data.train.iu_xray.split == "train" and config.system.weights.mim == 0
    tuned = ladder.tasks_of("iu_xray/r2gen/1.0.0", "A7" if rung == "scratch" else rung, 20, 2)
    assert dict(tuned.system.prompts) == dict(config.system.prompts)
    assert tuned.optimizer.multipliers == config.optimizer.multipliers
    assert set(tuned.evals) == {"findings", "report", "summarise"} and tuned.system.weights.itc == 0
    assert tuned.system.model == config.system.model


def test_finished_points_are_skipped(tmp_path, monkeypatch, capsys):
    asked = []

    def point(config, folder, data, path, rung, steps):
        asked.append((rung, config.seed))
        return {"retrieve/image_to_text_r5": 0.25, "prompt_usage": 0.5}

    monkeypatch.setattr(ladder, "point", point)
    out = tmp_path / "ladder.csv"
    command = ["--out", str(out), "--runs", str(tmp_path), "--rungs", "A1", "A7", "--seeds"]
    assert ladder.main([*command, "0"]) == 0 == ladder.main([*command, "0", "1"])
    assert asked == [("A1", 0), ("A7", 0), ("A1", 1), ("A7", 1)]
    assert capsys.readouterr().out.count("finished:") == 2
    table = rows(out)
    assert len(table) == 4 and table[0]["retrieve/image_to_text_r5"] == "0.2500" and table[0]["report/cider"] == ""
