"""These tests compile many small functions and run each once or twice: compiling quickly is what counts."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_compile():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
