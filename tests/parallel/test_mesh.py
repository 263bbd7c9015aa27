"""Meshes: what fits, and what is said when it does not."""

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
