"""A small prepared set and a model trained on it by the command line, shared by the end-to-end tests."""

from pathlib import Path

import pytest
from small_run import CONFIG, SMALL

from launch.main import main


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """48 phantom studies of 64 pixels, prepared by the command line."""
    folder = tmp_path_factory.mktemp("data")
    assert main(["prepare", "synthetic", "--out", str(folder), "--studies", "48", "--size", "64"]) == 0
    return folder


@pytest.fixture(scope="session")
def workdir(data, tmp_path_factory) -> Path:
    """A model trained for six steps."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    arguments = ["train", "--config", CONFIG, "--data", str(data), "--workdir", str(folder), "--set", *SMALL]
    assert main(arguments) == 0
    return folder
