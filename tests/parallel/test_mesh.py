"""Meshes: what fits, and what is said when it does not."""

import dataclasses

import jax
import pytest
from jax.sharding import AxisType

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import AXES, make_mesh


@pytest.mark.parametrize("spec", [None, {}, {"data": -1}, {"data": 1, "fsdp": -1}, {"tensor": 1}])
def test_one_device_fits_every_spec_that_allows_it(spec):
    mesh = make_mesh(spec, jax.devices()[:1])
    assert mesh.axis_names == AXES and set(mesh.shape.values()) == {1}
    assert set(mesh.axis_types) == {AxisType.Auto}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"data": 3, "fsdp": -1}, r"data=3, fsdp=-1 does not fit 8 device\(s\): .* one of 1, 2, 4, 8"),
        ({"data": 2, "tensor": 2}, r"data=2, tensor=2 does not fit 8 device\(s\): they must multiply to 8"),
        ({"data": 16}, r"data=16 does not fit 8 device\(s\)"),
        ({"data": -1, "fsdp": -1}, "only one axis may be -1, not both data and fsdp"),
        ({"data": 0}, "data=0 must be a positive size"),
        ({"model": 2}, "unknown axis 'model'; the axes are replica, data"),
    ],
)
def test_what_does_not_fit_is_explained(spec, message):
    with pytest.raises(UserError, match=message):
        make_mesh(spec, jax.devices()[:1] * 8)


@dataclasses.dataclass(frozen=True)
class Chip:
    """What a device of a two-slice job says of itself."""

    id: int
    slice_index: int
    platform: str = "gpu"
    device_kind: str = "chip"

    @property
    def process_index(self) -> int:
        return self.slice_index


CHIPS = [Chip(i, i % 2) for i in range(8)]  # listed out of order


def test_replica_runs_across_slices_and_nothing_else_does():
    mesh = make_mesh({"replica": 2, "fsdp": -1}, CHIPS)
    assert mesh.shape["replica"] == 2 and mesh.shape["fsdp"] == 4
    slices = [[chip.slice_index for chip in row.flat] for row in mesh.devices]
    assert slices == [[0] * 4, [1] * 4]
    assert set(mesh.axis_types) == {AxisType.Auto}


def test_slices_need_a_replica_axis():
    with pytest.raises(UserError, match="replica=1 on 2 slices"):
        make_mesh({"data": 8}, CHIPS)
