"""Every generated native folder of these tests can be prepared and validated: no error, and a page with its samples."""

import importlib
from pathlib import Path

import pytest
from test_bad_images import IDS, SETS

from data_pipelines import datasets
from data_pipelines.builder import folder_of, prepare
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.validate import validate
from launch.validation_page import page

FILES = sorted(path for path in Path(__file__).parent.glob("test_*.py") if "= bad_input(" in path.read_text())
LAYOUTS = {
    f"{layout.builder.name}-{layout.protocol}": layout
    for path in FILES
    for value in vars(importlib.import_module(path.stem)).values()
    if (layout := getattr(value, "layout", None))
}


def sound(folder: Path) -> None:
    """No error in a prepared folder, and a page that shows its records."""
    found = validate(folder)
    assert not found.errors, [problem for problem in found.problems if problem.level == "error"]
    written = page(found).html()
    assert all(f"Samples of {split}" in written for split in found.contents)
    assert ("data:image/jpeg" in written) == any(contents.images for contents in found.contents.values())


@pytest.mark.parametrize("native", SETS, ids=IDS)
def test_images(native, tmp_path):
    summary, _ = native.prepare(native.make(tmp_path / "source"), tmp_path / "out")
    sound(tmp_path / "out" / summary.name / summary.protocol / summary.version)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_texts(layout, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    layout.write(source)
    prepare(layout.builder, source, tmp_path / "out", layout.protocol)
    sound(folder_of(layout.builder, tmp_path / "out", layout.protocol))


def test_synthetic(tmp_path):
    builder = Synthetic(studies=30, size=64)
    prepare(builder, None, tmp_path)
    sound(folder_of(builder, tmp_path, "by-patient"))


def test_no_data_set_is_forgotten():
    covered = {native.name for native in SETS} | {layout.builder.name for layout in LAYOUTS.values()} | {"synthetic"}
    assert covered >= set(datasets.names())
