"""The fourteen UniDCP configs on folders in the native layout: from the owner's files to a training batch and validation units."""

from pathlib import Path

import pytest
from test_bad_images import SETS
from test_validate_fixtures import LAYOUTS

from data_pipelines import input as inputs
from data_pipelines.batch import BatchSpec
from data_pipelines.builder import prepare
from launch.assemble import make_space, train_entries
from unimedvlp import config as configs
from unimedvlp import tasks
from unimedvlp.tokens.vocabulary import TASK_START, TASKS

FOLDER = Path(__file__).parents[3] / "configs/finetune"
FILES = sorted(path for path in FOLDER.glob("unidcp_*.py") if path.stem != "unidcp_multitask")
IMAGES = {native.name: native for native in SETS}
TEXTS = {layout.builder.name: layout for layout in LAYOUTS.values()}


def fixture(name: str, protocol: str, folder: Path) -> Path:
    """A small folder as its owner ships it, prepared under a protocol."""
    source = folder / "source"
    source.mkdir()
    if name in IMAGES:
        IMAGES[name].prepare(IMAGES[name].make(source), folder / "out")
    else:
        layout = next((x for x in LAYOUTS.values() if (x.builder.name, x.protocol) == (name, protocol)), TEXTS[name])
        layout.write(source)
        prepare(layout.builder, source, folder / "out", protocol)
    return folder / "out"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_config_reads_its_data_set(path, tmp_path):
    config = configs.load(str(path))
    (entry,) = config.data.train.values()
    name, protocol, _ = entry.path.split("/")
    data = fixture(name, protocol, tmp_path)
    if not (data / entry.path).is_dir():  # image fixtures are written under their first protocol
        (data / name / protocol).symlink_to(next((data / name).iterdir()).name)
    if name == "chexpert":  # the training studies of the fixture speak of other findings
        entry.tasks.findings.classes = ("pneumothorax", "support devices")
    entries = train_entries(config, data)
    space = make_space(entries, config.tokenizer)
    spec = configs.build(BatchSpec, config.data.spec, "data.spec")
    batches = inputs.train_batches(entries, space, spec, batch_size=2, threads=0)
    batch = batches(0)
    batches.close()
    (task,) = (tasks.build({"name": task, **options}) for task, options in entry.tasks.items())
    assert (batch["prompt"][:, 1] == TASK_START + TASKS.index(task.name)).all()
    assert batch["view_mask"].any(1).all() == ("images" in task.shows)
    assert batch["text_mask"].any(1).all() == ("text" in task.shows)
    assert (batch["response_weight"].sum(1) > 0).all() == (task.name != "retrieve")
    record = next(record for record in entries[0].source if task.serves(record))
    assert task.truth(record, task.units(record)[0])
