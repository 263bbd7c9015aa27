"""Every UniDCP config builds its tiny system, whose step has the right shapes; the ladder's rungs differ by values only."""

from pathlib import Path

import jax
import numpy as np
import pytest
from flax.core import meta

from configs.unidcp_parts import PROMPT_TERMS, RUNGS, run
from data_pipelines.batch import BatchSpec, Example, collate
from unimedvlp import config as configs
from unimedvlp import systems, tasks
from unimedvlp.errors import UserError
from unimedvlp.records import POSITIVE, Question, Record
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import TASKS
from unimedvlp.training import optimizers

FOLDER = Path(__file__).parents[2] / "configs"
FILES = sorted(FOLDER.glob("finetune/unidcp_*.py"))
WORDS = "the heart is enlarged and there is a small pleural effusion"
CLASSES = ("atelectasis", "pneumonia", "xray", "normal", "neoplasms", "entailment", "neutral", "contradiction")
RECORD = Record(
    "s1",
    images=(b"\x89PNG\r\n\x1a\n",),
    views=("frontal",),
    modality="xray",
    indication=WORDS,
    findings=WORDS,
    impression=WORDS,
    caption=WORDS,
    labels={"atelectasis": POSITIVE, "pneumonia": POSITIVE},
    qa=(Question("is the heart enlarged?", "yes", "closed"),),
    premise=WORDS,
    hypothesis=WORDS,
    relation="entailment",
    text=WORDS,
    text_label="neoplasms",
)


@pytest.fixture(scope="module")
def space():
    return TokenSpace.create(CLASSES, text.train([WORDS] * 4, size=300))


def batch_of(config, space):
    """A batch with a row for every task of the config's mixture."""
    spec = configs.build(BatchSpec, config.data.spec.to_dict(), "data.spec")
    rows = []
    for entry in config.data.train.values():
        for name, options in entry.tasks.items():
            task = tasks.build({"name": name, **options})
            record = RECORD
            if name == "image_text_classify" and task.field == "labels":
                record = Record(**{**vars(RECORD), "labels": {(task.classes or CLASSES)[0]: POSITIVE}})
            assert task.serves(record), name
            sequence = task.sequence(record, task.units(record)[0], space)
            mask = np.full(spec.views, "images" in task.shows)
            rows.append(
                Example(np.zeros(spec.image_shape, np.uint8), mask, (sequence,), TASKS.index(name), 0, len(rows))
            )
    return collate(rows, spec), spec


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_finetuning_config_builds_and_steps(path, space):
    config = configs.load(str(path))
    batch, spec = batch_of(config, space)
    system = systems.build(config.system.to_dict(), space, spec.image_size, spec.views)
    optimizers.make(config.optimizer.to_dict(), config.steps)
    loss, metrics = abstract_loss(system, batch)
    assert loss.shape == () and any(name.startswith("weighted/") for name in metrics)
    for entry in config.evals.values():
        assert entry.path.count("/") == 2
    assert config.best.rpartition("/")[2] in tasks.build(next(iter(config.evals.values())).task.to_dict()).headline or (
        len(config.evals) > 1
    )


def test_fourteen_pairs_of_task_and_data_set_each_name_their_protocol():
    assert len([path for path in FILES if path.stem != "unidcp_multitask"]) == 14
    for path in FILES:
        assert "Protocol:" in path.read_text() or path.stem == "unidcp_multitask"


@pytest.mark.parametrize("data", ["synthetic", "real"])
def test_multitask_config_trains_and_scores_eight_tasks(data):
    config = configs.load(f"{FOLDER}/finetune/unidcp_multitask.py:{data}")
    assert len({entry.task.name for entry in config.evals.values()}) == 8
    assert set(config.evals) == set(config.data.train)


@pytest.mark.parametrize(("before", "data"), [("tiny", "synthetic"), ("tiny,iu_xray", "real")])
def test_the_tasks_take_over_every_size_of_their_pretraining(before, data):
    first = configs.load(f"{FOLDER}/pretrain/unidcp.py:{before}")
    then = configs.load(f"{FOLDER}/finetune/unidcp_multitask.py:{data}")
    assert first.system.model == then.system.model and first.system.prompts == then.system.prompts
    assert all(first.data.spec[name] == then.data.spec[name] for name in ("views", "image_size", "channels", "resize"))


@pytest.mark.parametrize("rung", RUNGS)
def test_each_rung_is_a_set_of_values(rung, space):
    config = configs.load(f"{FOLDER}/pretrain/unidcp.py:tiny,{rung}")
    system = systems.build(config.system.to_dict(), space, 80, 2)
    assert system.model.pool.kind == RUNGS[rung][0]["kind"]
    assert {name for name in PROMPT_TERMS if system.weights[name]} == set(RUNGS[rung][1])
    assert config.optimizer.multipliers == ((("pool/.*", 0.0),) if rung == "A2" else ())


def test_base_has_the_sizes_of_the_predecessor(space):
    config = configs.load(f"{FOLDER}/pretrain/unidcp.py:base")
    batch, spec = batch_of(config, space)
    system = systems.build(config.system.to_dict(), space, spec.image_size, spec.views)
    shapes = jax.eval_shape(system.init, jax.random.key(0), batch)
    count = sum(np.prod(x.shape) for x in jax.tree.leaves(shapes))
    assert 4.0e8 < count < 4.5e8  # about PTUnifier's 364 M, and a decoder of twelve layers, with a smaller vocabulary
    assert shapes["pool"]["image_values"].value.shape == (2048, 768)


def test_wrong_arguments_are_named():
    with pytest.raises(UserError, match=r"unknown data \['iuxray'\]; known: synthetic"):
        configs.load(f"{FOLDER}/pretrain/unidcp.py:tiny,iuxray")
    with pytest.raises(UserError, match="size 'small' and rung 'A7'"):
        run("small", {}, {}, {}, best="")


def abstract_loss(system, batch):
    params = jax.eval_shape(system.init, jax.random.key(0), batch)
    return jax.eval_shape(
        lambda p, b: system.loss(p, b, jax.random.key(0), train=True),
        meta.unbox(params),
        jax.tree.map(np.asarray, batch),
    )
