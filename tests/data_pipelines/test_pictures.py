"""Native image files: PNG and JPEG as they are, DICOM without identity, everything else set aside by name."""

import cv2
import numpy as np
import pytest

from data_pipelines.images import decode
from data_pipelines.native import MISSING, OUTSIDE
from data_pipelines.pictures import Picture, read_picture
from data_pipelines.summary import SetAside


def encoded(suffix=".png", height=12, width=18):
    return cv2.imencode(suffix, np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8))[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_bytes_stay_as_they_are(tmp_path, suffix):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.img").write_bytes(encoded(suffix))
    assert read_picture(tmp_path, "a/b.img", "s") == Picture(encoded(suffix), 12, 18)


def test_dicom_becomes_png_without_identity(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileMetaDataset

    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "1.2.3"
    data.PatientName, data.Modality, data.BodyPartExamined, data.ViewPosition = "Doe^Jane", "DX", "CHEST", "LL"
    data.PhotometricInterpretation, data.SamplesPerPixel, data.Rows, data.Columns = "MONOCHROME1", 1, 2, 3
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = bytes([0, 50, 100, 150, 200, 255])
    data.save_as(tmp_path / "x.dicom", enforce_file_format=True)
    picture = read_picture(tmp_path, "x.dicom", "s")
    assert (picture.height, picture.width, picture.modality, picture.body_part, picture.view) == (
        2,
        3,
        "xray",
        "chest",
        "lateral",
    )
    assert (decode(picture.data, channels=1)[..., 0] == [[255, 205, 155], [105, 55, 0]]).all()
    assert b"Doe" not in picture.data


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", None, MISSING),
        ("../a.png", None, OUTSIDE),
        ("/etc/passwd", None, OUTSIDE),
        ("", None, MISSING),
        ("a.png", b"", "image file is empty"),
        ("a.png", b"GIF89a", "neither PNG, JPEG nor DICOM"),
        ("a.png", b"\x89PNG\r\n\x1a\nxxxx", "unreadable image"),
        ("a.dcm", b"x" * 200, "cannot read DICOM data"),
    ],
)
def test_what_cannot_be_read_is_set_aside_by_name(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = read_picture(tmp_path, name, "s")
    assert isinstance(found, SetAside) and found.where == name and found.study_id == "s" and reason in found.reason
    assert str(tmp_path) not in found.reason
