"""Fakes of the command line tools, and settings files."""

from pathlib import Path

import pytest
from fake_tools import POD, Tools


@pytest.fixture
def tools(tmp_path) -> Tools:
    folder = tmp_path / "tools"
    folder.mkdir()
    return Tools(folder)


@pytest.fixture
def settings(tmp_path):
    """Writes example.env with changes: settings(SLICES=2) -> path."""

    def write(**changes: str) -> Path:
        text = (POD / "example.env").read_text()
        text += "".join(f"{name}={value}\n" for name, value in changes.items())
        (tmp_path / "run.env").write_text(text)
        return tmp_path / "run.env"

    return write
