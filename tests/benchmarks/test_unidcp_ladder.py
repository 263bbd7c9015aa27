"""The ladder's points: what each one trains, and that finished ones are not run again."""

import pytest

from benchmarks import unidcp_ladder as ladder
from benchmarks.results_table import rows
from unimedvlp.errors import UserError


@pytest.mark.parametrize("rung", ["scratch", "A0", "A2", "A7"])
def test_a_point_is_its_rung_and_seed(rung):
    config = ladder.pretraining("iu_xray", rung, 2, ["steps=30"])
    assert (config.seed, config.steps, config.data.spec.views) == (2, 30, 1)
    assert config.data.train.iu_xray.split == "train" and config.system.weights.mim == 0
    tuned = ladder.tasks_of("iu_xray", "A7" if rung == "scratch" else rung, 20, 2, [])
    assert dict(tuned.system.prompts) == dict(config.system.prompts)
    assert tuned.optimizer.multipliers == config.optimizer.multipliers
    assert set(tuned.evals) == {"findings", "summarise"} and tuned.system.weights.itc == 0
    assert tuned.system.model == config.system.model


def test_finished_points_are_skipped(tmp_path, monkeypatch, capsys):
    asked = []

    def point(config, key, runs, data, overrides):
        asked.append((key["rung"], config.seed))
        return {"retrieve/image_to_text_r5": 0.25, "prompt_usage": 0.5}

    monkeypatch.setattr(ladder, "point", point)
    out = tmp_path / "ladder.csv"
    command = ["--out", str(out), "--runs", str(tmp_path), "--rungs", "A1", "A7", "--seeds"]
    assert ladder.main([*command, "0"]) == 0 == ladder.main([*command, "0", "1"])
    assert asked == [("A1", 0), ("A7", 0), ("A1", 1), ("A7", 1)]
    assert capsys.readouterr().out.count("finished:") == 2
    table = rows(out)
    assert (
        len(table) == 4 and table[0]["retrieve/image_to_text_r5"] == "0.2500" and table[0]["findings/auroc_macro"] == ""
    )
    assert ladder.main(["--out", str(out), "--table"]) == 0
    printed = capsys.readouterr().out
    assert "| A7 | 2 | 0.250 ± 0.000 |" in printed or "| A7 | 2 |" in printed
    assert out.with_suffix(".png").stat().st_size > 1000


def test_changes_of_the_model_hold_for_the_tasks():
    changed = ["system.prompts.slots=16", "steps=30"]
    config, tuned = (
        ladder.pretraining("synthetic", "A7", 0, changed),
        ladder.tasks_of("synthetic", "A7", 20, 0, changed),
    )
    assert config.system.prompts.slots == tuned.system.prompts.slots == 16 and tuned.steps == 20


def test_a_table_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv has no points yet"):
        ladder.main(["--table", "--out", str(tmp_path / "none.csv")])
