"""Records are read in groups of one call; what comes out does not depend on that."""

import cv2
import numpy as np
import pytest

from data_pipelines import images as image_io
from data_pipelines import input
from data_pipelines.batch import BatchSpec
from data_pipelines.transforms import Augment
from unimedvlp import tasks
from unimedvlp.records import Record
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace

SPEC = BatchSpec(16, 1, 1, 1, 4, 12)


class Counted(list):
    """Records, counting calls and records read."""

    def __init__(self, items):
        super().__init__(items)
        self.calls, self.read = 0, 0

    def __getitems__(self, indices):
        self.calls += 1
        self.read += len(indices)
        return [self[index] for index in indices]


@pytest.fixture(scope="module")
def records():
    pictures = [image_io.encode_png(np.full((16, 16), 5 * i, np.uint8)) for i in range(20)]
    return [
        Record(f"s{i}", images=(data,), views=("frontal",), findings=f"finding {i}") for i, data in enumerate(pictures)
    ]


@pytest.fixture(scope="module")
def space(records):
    return TokenSpace.create([], text.train((record.findings for record in records), size=300))


def train(records, space, size=16, **options):
    return input.train_batches(
        [input.Entry(records, (tasks.build("report"),), None, "a")], space, SPEC, batch_size=size, **options
    )


@pytest.mark.parametrize(("size", "calls"), [(16, 2), (12, 2), (7, 1), (11, 11)])
def test_a_batch_takes_few_calls(records, space, size, calls):
    source = Counted(records)
    batches = train(source, space, size, threads=0)
    plain = train(records, space, size, threads=0)
    source.calls = source.read = 0
    for step in (0, 5, 3):
        np.testing.assert_equal(batches(step), plain(step))
    assert (source.calls, source.read) == (3 * calls, 3 * size)


def test_evaluation_reads_in_groups_too(records, space):
    source = Counted(records)
    task = tasks.build("report")
    ours, plain = (list(input.eval_batches(s, task, space, SPEC, 8, threads=0)) for s in (source, records))
    np.testing.assert_equal(ours, plain)
    assert source.calls == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_are_grey_in_any_number_of_channels(records, space, channels):
    spec = BatchSpec(16, 1, channels, 1, 4, 12)
    entry = input.Entry(records, (tasks.build("report"),), None, "a")
    batch = input.train_batches(
        [entry], space, spec, batch_size=4, augment=Augment(crop=0.8, rotate=5.0, brightness=0.2)
    )(0)
    assert batch["image"].shape == (4, 1, 16, 16, channels)
    assert np.array_equal(batch["image"], np.repeat(batch["image"][..., :1], channels, axis=-1))


def test_one_resampling_is_close_to_two(space):
    """An image a little larger than the batch's is warped at once; a larger one is averaged first."""
    y, x = np.mgrid[0:96, 0:120] / 40
    smooth = (120 + 100 * np.sin(x) * np.cos(y)).astype(np.uint8)
    found = []
    for size in ((100, 80), (400, 320)):
        data = image_io.encode_png(cv2.resize(smooth, size, interpolation=cv2.INTER_CUBIC))
        record = Record("s", images=(data,), views=("frontal",), findings="x")
        spec = BatchSpec(72, 1, 1, 1, 4, 12)
        found.append(
            input.load(record, (tasks.build("report"),), spec, np.random.default_rng(3), Augment(crop=0.9, rotate=4.0))[
                0
            ]
        )
    inside = np.s_[0, 6:-6, 6:-6]
    assert np.abs(found[0][inside].astype(int) - found[1][inside]).max() <= 4
