"""The plan command: what it refuses, what it takes from a config, and one real compilation where the TPU compiler is."""

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from launch import abstract, plan
from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.plan import estimate, gpu, tpu
from unimedvlp.plan.collectives import Collective
from unimedvlp.plan.hardware import parse

CONFIG = str(Path(__file__).parents[2] / "configs/pretrain/baseline_synthetic.py")
LIBTPU = importlib.util.find_spec("libtpu") is not None
SMALL = ["--set", "data.spec.image_size=32", "data.spec.views=1", "tokenizer.size=100", "system.model.width=32",
         "system.model.mlp=64", "system.model.stem=patch", "accumulate=1", "ema=0.0"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs --topology"),
        (["--gpu"], "JAX finds no GPU, only cpu"),
        (["--topology", "v5e:2x2x2"], "a v5e slice has 2 sides"),
        (["--topology", "v5e:2x2", "--mesh", "data"], r"--mesh data: expected AXIS=SIZE"),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(UserError, match=message):
        plan.main(["--config", CONFIG, *arguments])


def test_without_the_compiler_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(tpu.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'unimedvlp\[tpu\]'"):
        tpu.mesh_of(parse("v5e:2x2"), {"data": -1})


def test_the_abstract_step_has_the_shapes_of_the_config():
    config = configs.load(CONFIG)
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    step, state, batch = abstract.train_step(config, mesh, 4)
    spec = config.data.spec
    assert batch["image"].shape == (4, spec.views, spec.image_size, spec.image_size, spec.channels)
    assert batch["response"].shape == (4, spec.response_length)
    new, metrics = jax.eval_shape(step, state, batch)
    assert jax.tree.map(lambda x: x.shape, new) == jax.tree.map(lambda x: x.shape, state)
    assert metrics["loss"].shape == ()


def test_memory_by_class():
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    _, state, batch = abstract.train_step(configs.load(CONFIG), mesh, 4)

    class Stats:
        peak_memory_in_bytes = 2**30

    found = estimate.memory(Stats, state, batch)
    weights = 4 * sum(x.size for x in jax.tree.leaves(state.params)) / 2**30
    assert found["parameters"] == pytest.approx(weights)
    assert found["optimizer"] == pytest.approx(3 * weights, rel=0.05)  # two moments and the average
    assert found["peak"] == 1 == pytest.approx(sum(found.values()) - found["peak"])


def planner(room, fast):
    """In place of the compiler: a batch fits up to `room` rows a chip; the mesh `fast` takes half the time."""

    def planner(config, topology, spec):
        def make(size):
            if size > room * topology.chips:
                raise estimate.DoesNotFit(size / topology.chips, room)
            seconds = 1.0 if spec == fast else 2.0
            kinds = [Collective("all-reduce", 10**9, topology.chips, 3)]
            peak = {"parameters": 1.0, "peak": 2.0}
            return estimate.Plan(topology, spec, size, 1e15, 1.1e15, 1e12, 1e12, seconds, 0.1, peak, kinds)

        return make

    return planner


def test_meshes_are_compared_best_first(monkeypatch, capsys):
    monkeypatch.setattr(plan, "_planner", planner(100, {"data": 2, "fsdp": 2}))
    arguments = ["--config", CONFIG, "--topology", "v5e:2x2", "--mesh", "data=4", "--mesh", "data=2,fsdp=2"]
    assert plan.main([*arguments, "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert [each["mesh"] for each in plans] == [{"data": 2, "fsdp": 2}, {"data": 4}]
    assert plans[0]["mfu"] == pytest.approx(1e15 / (4 * 197e12))
    assert plans[0]["mfu_no_overlap"] == pytest.approx(plans[0]["mfu"] / 1.1)
    assert plan.main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.index("data=2 fsdp=2") < shown.index("data=4") and "all-reduce: 3 of 2.794 GiB" in shown


def test_what_does_not_fit_names_what_does(monkeypatch, capsys):
    monkeypatch.setattr(plan, "_planner", planner(100, None))
    arguments = ["--config", CONFIG, "--topology", "v5e:2x2", "--batch-per-chip"]
    assert plan.main([*arguments, "300"]) == 2
    assert (
        "needs 300.00 GiB a chip, 100.00 GiB are there; --batch-per-chip 75 fits (2.00 GiB)" in capsys.readouterr().err
    )
    assert plan.main([*arguments, "100", "--largest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["global_batch"] in range(4 * 88, 4 * 101)
    monkeypatch.setattr(plan, "_planner", planner(0, None))
    assert plan.main([*arguments, "8"]) == 2
    assert "no smaller batch fits either" in capsys.readouterr().err


def test_steps_are_timed_from_ones():
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    state = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=sharding)
    seen = []

    def step(state, batch):
        seen.append(float(state[0]))
        return state + batch, {}

    assert gpu.time_steps(step, state, state, steps=2) > 0
    assert seen == [1 + turn for turn in range(gpu.WARM_UP + 2)]


@pytest.mark.slow
@pytest.mark.skipif(not LIBTPU, reason="the TPU compiler is not installed: pip install 'unimedvlp[tpu]'")
def test_a_small_step_on_four_chips(capsys):
    assert plan.main(["--config", CONFIG, "--topology", "v5e:2x2", "--batch-per-chip", "8", "--json", *SMALL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["topology"], found["chips"], found["global_batch"]) == ("v5e:2x2", 4, 32)
    assert 0 < found["mfu_no_overlap"] <= found["mfu"] < 1
    assert 0 < found["hbm_gib_per_chip"] < 16
    assert found["collectives"]["all-reduce"]["count"] > 0
    checked = found["flops_checked"]
    assert checked["compiler"] == pytest.approx(checked["loops_once"], rel=0.5)
