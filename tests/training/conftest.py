"""One compilation cache for these tests and the processes that they start: the tiny step is compiled once."""

import jax
import pytest
import tiny_system


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    values = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in values}
    for name, value in values.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory, compilation_cache):
    """(workdir, final state) of a run of 12 steps that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("unbroken")
    return workdir, tiny_system.run(workdir)
