"""Configs: overriding, saving and the nearest-key errors."""

import dataclasses

import ml_collections
import pytest

from unimedvlp import config
from unimedvlp.errors import UserError


def example():
    return ml_collections.ConfigDict({"steps": 10, "optimizer": {"learning_rate": 1e-3}, "views": [1, 2]})


def test_override_and_reload(tmp_path):
    c = example()
    config.override(c, ["optimizer.learning_rate=5e-4"])
    assert c.optimizer.learning_rate == 5e-4
    config.override(c, ["optimizer.learning_rate=0.1", "steps=20", "views=[3]"])
    config.save(c, tmp_path)
    assert config.reload(tmp_path).to_dict() == {"steps": 20, "optimizer": {"learning_rate": 0.1}, "views": [3]}


def test_options_left_at_their_defaults_can_be_set():
    c = ml_collections.ConfigDict(
        {"system": {"name": "baseline", "model": {"width": 8}}, "method": {"name": "beam"}}
    ).lock()
    config.override(c, ["system.smoothing=1e-1", "system.model.remat=dots", "method.length_penalty=2"])
    assert c.system.smoothing == 0.1 and c.system.model.remat == "dots" and c.method.length_penalty == 2
    with pytest.raises(UserError, match=r"unknown config key 'system.modle'; did you mean 'model'"):
        config.override(c, ["system.modle.width=3"])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stps=3", "unknown config key 'stps'; did you mean 'steps'"),
        ("optimizer.learning_rat=3", "'optimizer.learning_rat'; did you mean 'learning_rate'"),
        ("steps.x=3", "steps is a value"),
        ("steps", "expected key=value"),
        ("steps=abc", "steps=abc"),
    ],
)
def test_wrong_overrides(assignment, message):
    with pytest.raises(UserError, match=message):
        config.override(example(), [assignment])


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match="no config file"):
        config.load(str(tmp_path / "x.py"))
    (tmp_path / "x.py").write_text("a = 1\n")
    with pytest.raises(UserError, match="defines no get_config"):
        config.load(str(tmp_path / "x.py"))
    with pytest.raises(UserError, match=r"no config\.json"):
        config.reload(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        config.reload(tmp_path)


def test_get_config_takes_an_argument(tmp_path):
    (tmp_path / "x.py").write_text("def get_config(size='tiny'):\n    return size\n")
    assert config.load(f"{tmp_path}/x.py") == "tiny"
    assert config.load(f"{tmp_path}/x.py:base") == "base"


def test_build_names_the_nearest_field():
    @dataclasses.dataclass
    class Part:
        width: int
        size: tuple = ()

    assert config.build(Part, {"size": [1, 2]}, "system", width=3) == Part(3, (1, 2))
    with pytest.raises(UserError, match=r"unknown config key 'system\.widht'; did you mean 'width'"):
        config.build(Part, {"widht": 3}, "system")
