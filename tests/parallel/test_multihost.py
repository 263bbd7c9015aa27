"""With one process, all of it is trivial; two processes are in tests/training/test_two_processes.py."""

import jax
import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.parallel import multihost
from unimedvlp.parallel.mesh import make_mesh


def test_one_process_holds_the_whole_batch():
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    batch = {"x": np.arange(12.0, dtype=np.float32).reshape(4, 3), "index": np.arange(4, dtype=np.int64)}
    assert multihost.batch_share(mesh) == (0, 1)
    placed = multihost.global_batch(batch, mesh)
    assert placed["x"].sharding.mesh == mesh and placed["index"].dtype == np.int32
    for name in batch:
        np.testing.assert_array_equal(placed[name], batch[name])


def test_one_process_agrees_with_itself():
    multihost.initialize()
    assert multihost.process_zero() and multihost.votes(True, False).tolist() == [[True, False]]
    assert multihost.broadcast_from_zero(np.int32(3)) == 3
    multihost.barrier("alone", timeout_s=1)


def test_a_coordinator_without_numbers_is_refused(monkeypatch):
    monkeypatch.delenv("UNIMEDVLP_NUM_PROCESSES", raising=False)
    with pytest.raises(UserError, match="UNIMEDVLP_NUM_PROCESSES"):
        multihost.initialize("localhost:1234")
