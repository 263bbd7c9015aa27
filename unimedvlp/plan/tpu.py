"""Devices of a TPU topology that is not here, for ahead-of-time compilation."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from unimedvlp.errors import UserError
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.plan.hardware import Topology

ENVIRONMENT = {  # no metadata server, no lock file, no complaints about a host without TPUs
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_MIN_LOG_LEVEL": "4",
    "TPU_STDERR_LOG_LEVEL": "4",
}


def mesh_of(topology: Topology, spec: Mapping[str, int]) -> Mesh:
    """The mesh of a config over the devices of a topology; needs the compiler of the `tpu` extra, but no TPU.

    Raises:
      UserError: without libtpu, for a topology that does not exist, or a mesh that does not fit it.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("plan needs the TPU compiler: pip install 'unimedvlp[tpu]' (no TPU is needed), or use --gpu")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")
    try:
        found = topologies.get_topology_desc(topology.name, platform="tpu", num_slices=topology.slices)
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        raise UserError(f"--topology {topology}: {str(error).splitlines()[0]}") from None
    return make_mesh(spec, found.devices)
