"""Names in native files that lead out of the source folder: no data set ever reads what lies there."""

import io
import zipfile

import cv2
import natives
import numpy as np
import pytest
from test_bad_images import IDS, SETS

from data_pipelines.builder import prepare
from data_pipelines.datasets.medmnist import MedMnist
from data_pipelines.read import PreparedSplit
from data_pipelines.validate.pictures import look
from unimedvlp.errors import UserError

SECRET = (11, 13)  # height and width that no other picture has
TABLES = (".csv", ".txt", ".json", ".xml")
PLACES = [
    (native, name) for native, name in zip(SETS, IDS, strict=True) if native.image and native.name != "image_folder"
]


def plant(source):
    """Pictures of the secret size, in every format, in every folder above the source."""
    pixels = np.random.default_rng(0).integers(0, 255, SECRET, dtype=np.uint8)
    for folder in list(source.parents)[:6]:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".png", ".jpg"):
            (folder / f"secret{suffix}").write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
        for suffix in (".dcm", ".dicom"):
            natives.dicom(folder / f"secret{suffix}", 0, *SECRET)


@pytest.mark.parametrize("way", ["relative", "absolute"])
@pytest.mark.parametrize("native", [native for native, _ in PLACES], ids=[name for _, name in PLACES])
def test_what_lies_outside_is_not_read(native, way, tmp_path):
    source = tmp_path / "a" / "b" / "c" / "d" / "e" / "source"
    plant(source)
    native.make(source)
    stem = (
        native.image.rpartition("/")[2].partition(".")[0]
        if native.name != "siim"
        else "1.2.276.0.7230010.3.1.4.8323329.0"
    )
    hidden = "../../../../../secret" if way == "relative" else str(source.parent / "secret")
    for path in source.rglob("*"):
        if path.suffix in TABLES and path.is_file():
            path.write_text(path.read_text().replace(stem, hidden))
    try:
        summary, _ = native.prepare(source, tmp_path / "out")
    except UserError:
        return
    folder = tmp_path / "out" / summary.name / summary.protocol / summary.version
    for split in summary.splits:
        for record in PreparedSplit(folder, split):
            seen = [look(data) for data in (*record.images, *record.masks)]
            assert all((one.height, one.width) != SECRET for one in seen), record.study_id


def test_members_of_an_archive_are_never_unpacked(tmp_path):
    source = natives.medmnist(tmp_path / "a" / "source")
    path = next(source.glob("*.npz"))
    array = io.BytesIO()
    np.save(array, np.zeros((3, 28, 28), np.uint8))
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../escaped.npy", "../../escaped.npy", str(tmp_path / "escaped.npy")):
            archive.writestr(name, array.getvalue())
    prepare(MedMnist(), source, tmp_path / "out")
    assert not list(tmp_path.rglob("escaped*"))
