"""How the parameters of each size lie on a mesh of 2 x 4 x 2 (data, fsdp, tensor): golden files, and nothing large in one piece."""

import math
import os
from pathlib import Path

import jax
import pytest
from jax.sharding import AbstractMesh, AxisType
from test_baseline import SPACE, make_batch

from unimedvlp import systems
from unimedvlp.parallel.mesh import AXES
from unimedvlp.parallel.rules import shardings
from unimedvlp.training import trees

MESH = AbstractMesh((1, 2, 4, 2, 1), AXES, axis_types=(AxisType.Auto,) * 5)
GOLDEN = Path(__file__).parent / "golden"
SIZES = {
    "tiny": {"width": 192, "heads": 6, "mlp": 768, "image_depth": 4, "text_depth": 1, "decoder_depth": 2},
    "base": {"width": 768, "heads": 12, "mlp": 3072, "image_depth": 12, "text_depth": 12, "decoder_depth": 6},
    "large": {"width": 1024, "heads": 16, "mlp": 4096, "image_depth": 24, "text_depth": 24, "decoder_depth": 12},
}


def layout(size):
    """{parameter: (shape, spec)}"""
    system = systems.build({"name": "baseline", "model": SIZES[size]}, SPACE, image_size=224, views=2)
    batch = make_batch(2)
    batch["image"] = jax.ShapeDtypeStruct((2, 2, 224, 224, 1), "uint8")
    boxed = jax.eval_shape(system.init, jax.random.key(0), batch | {"target": batch["response"]})
    specs = trees.flat(shardings(boxed, MESH))
    shapes = {path.removesuffix("/value"): x.shape for path, x in trees.flat(boxed).items()}
    return {path: (shapes[path], specs[path]) for path in specs}


@pytest.mark.parametrize("size", SIZES)
def test_layout_is_golden(size):
    """UPDATE_GOLDEN=1 writes the files anew."""
    lines = (f"{path} {list(shape)} {list(sharding.spec)}\n" for path, (shape, sharding) in layout(size).items())
    text, golden = "".join(lines), GOLDEN / f"baseline_{size}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("size", ["base", "large"])
def test_only_convolutions_and_statistics_lie_whole_on_every_device(size):
    found = layout(size)
    whole = {path: shape for path, (shape, sharding) in found.items() if sharding.shard_shape(shape) == tuple(shape)}
    large = {path for path, shape in whole.items() if 4 * math.prod(shape) >= 2**20}
    assert large and all(path.startswith(("image/encoder/stem/Conv_", "statistics/")) for path in large), large
