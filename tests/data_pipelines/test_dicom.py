import csv
import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="needs the extra `dicom`")
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut  # noqa: E402

from data_pipelines import dicom, images  # noqa: E402
from unimedvlp.errors import UserError  # noqa: E402

FOLDER = Path(os.environ.get("UNIMEDVLP_DATA", "/nonexistent")) / "dicom_samples"
FILES = [row["file"] for row in csv.DictReader((FOLDER / "index.csv").open())] if FOLDER.is_dir() else []
real = pytest.mark.skipif(not FILES, reason="needs UNIMEDVLP_DATA with dicom_samples")
REASONS = {
    "HTJ2K_08_RGB.dcm": "High-Throughput JPEG 2000", "liver.dcm": "segmentation", "liver_1frame.dcm": "segmentation",
    "seg_image_ct_binary.dcm": "segmentation", "seg_image_ct_binary_overlap.dcm": "segmentation",
    "OT-PAL-8-face.dcm": "Transfer Syntax UID", "MR_truncated.dcm": "less than expected", "no_meta.dcm": "no pixels",
    "test-SR.dcm": "structured report", "sr_document.dcm": "structured report", "rtdose.dcm": "radiotherapy dose",
    "JPGExtended.dcm": "12-bit", "MR1_JPLY": "12-bit", "RG2_JPLY": "12-bit", "RG3_JPLY": "12-bit",
}  # fmt: skip
IDENTIFIERS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientAddress", "OtherPatientIDs", "AccessionNumber", "StudyID",
    "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "InstitutionName", "InstitutionAddress",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "StationName", "StudyDate",
)  # fmt: skip


def viewer(path):
    """The image by pydicom's own functions in the order of the standard, scaled by the range that the display gets."""
    data = pydicom.dcmread(path, force=True)
    count = int(data.get("NumberOfFrames", 1))
    stored = data.pixel_array if count == 1 else data.pixel_array[count // 2]
    kind = data.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        return apply_color_lut(stored, data) / (2.0 ** data.RedPaletteColorLookupTableDescriptor[2] - 1) * 255
    if not kind.startswith("MONOCHROME"):
        return stored / (2.0**data.BitsStored - 1) * 255
    values = apply_modality_lut(stored, data)
    shown = apply_voi_lut(values, data)
    if "VOILUTSequence" in data:
        low, high = 0, 2.0 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowCenter" in data:  # PS3.3 C.11.2.1.2: the output range is that of the modality LUT's output
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        least = -(2 ** (data.BitsStored - 1)) if data.PixelRepresentation else 0
        low, high = (end * slope + intercept for end in (least, least + 2**data.BitsStored - 1))
    else:
        inside = values[stored != data.PixelPaddingValue] if "PixelPaddingValue" in data else values
        low, high = inside.min(), inside.max()
        low = max(low, -1024) if data.get("Modality") == "CT" else low
    grey = np.clip((shown - low) / (high - low), 0, 1) * 255
    return (255 - grey if kind == "MONOCHROME1" else grey)[..., None]


@real
@pytest.mark.parametrize("file", FILES)
@pytest.mark.filterwarnings("ignore")
def test_each_real_file_looks_as_pydicom_shows_it_or_is_refused_with_its_reason(file):
    path = FOLDER / file
    if reason := REASONS.get(path.name):
        with pytest.raises(UserError, match=reason) as caught:
            dicom.read(path)
        assert str(path) in str(caught.value)
        return
    loaded = dicom.read(path)
    assert loaded.pixels.dtype == np.uint8
    expected = viewer(path)
    assert loaded.pixels.shape == expected.shape
    np.testing.assert_allclose(loaded.pixels, expected, atol=1.01)
    np.testing.assert_array_equal(loaded.pixels, dicom.read(path.read_bytes()).pixels)
    assert len(np.unique(loaded.pixels)) > 4
    words = "|".join(value for value in vars(loaded).values() if isinstance(value, str)).encode()
    carried = images.encode_png(loaded.pixels) + loaded.pixels.tobytes() + words
    data = pydicom.dcmread(path, force=True)
    for value in (str(data.get(key, "") or "").strip() for key in IDENTIFIERS):
        assert len(value.strip("^")) < 4 or value.encode() not in carried


@real
def test_the_listing_of_refused_files_is_about_these_files():
    assert len(FILES) == 58
    assert set(REASONS) <= {Path(file).name for file in FILES}


@real
def test_monochrome1_is_inverted_and_coded_words_are_read():
    folder = FOLDER / "torchxrayvision"
    inverted = dicom.read(folder / "Fake_MONOHR1.dcm")
    original = dicom.read(next(folder.glob("1.2.276*")))
    np.testing.assert_array_equal(inverted.pixels, 255 - original.pixels)
    assert (original.modality, original.body_part, original.view) == ("xray", "chest", "frontal")


def ct(values, **fields):
    """A CT file of the given stored values (int16) as bytes; every identifying field is filled."""
    data = Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3.4567890"
    data.PatientName, data.PatientID, data.InstitutionName = "Doe^Jane", "ID-998877", "General Hospital"
    values = np.asarray(values, np.int16)
    data.Rows, data.Columns = values.shape[-2:]
    if values.ndim == 3:
        data.NumberOfFrames = len(values)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.Modality, data.RescaleSlope, data.RescaleIntercept = "CT", 2, -1000
    data.PixelData = values.tobytes()
    for name, value in fields.items():
        setattr(data, name, value)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


HOUNSFIELD = np.array([[-1350, -600], [150, 40], [240, -160]])
STORED = (HOUNSFIELD + 1000) // 2


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("lung", [[0, 128], [255, 236], [255, 202]]),
        ("soft", [[0, 0], [198, 128], [255, 0]]),
        ("mediastinum", [[0, 0], [198, 128], [255, 0]]),
        ("brain", [[0, 0], [255, 128], [255, 0]]),
        ("bone", [[0, 0], [92, 77], [105, 48]]),
    ],
)
def test_named_windows_are_in_hounsfield_units(window, expected):
    np.testing.assert_allclose(dicom.read(ct(STORED), window=window).pixels[..., 0], expected, atol=1)


def test_a_window_is_refused_where_it_means_nothing():
    for fields, name, reason in (
        ({}, "liver", "unknown window"),
        ({"Modality": "MR"}, "lung", "for CT, this is MR"),
    ):
        with pytest.raises(UserError, match=reason):
            dicom.read(ct(STORED, **fields), window=name)


def test_frames_are_chosen_by_number():
    data = ct(np.arange(5)[:, None, None] * np.ones((5, 3, 4)) + np.eye(3, 4) * 100, WindowCenter=-950, WindowWidth=100)
    means = [dicom.read(data, frame=i).pixels[0, 1, 0] for i in range(5)]
    assert means == sorted(set(means))
    np.testing.assert_array_equal(dicom.read(data).pixels, dicom.read(data, frame=2).pixels)
    for frame in (5, -1, "last"):
        with pytest.raises(UserError, match="it has 5, numbered from 0"):
            dicom.read(data, frame=frame)


def test_an_enhanced_file_keeps_rescale_and_window_by_frame():
    def group(slope, centre):
        rescale, window, item = Dataset(), Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = slope, -1000
        window.WindowCenter, window.WindowWidth = centre, 200
        item.PixelValueTransformationSequence, item.FrameVOILUTSequence = [rescale], [window]
        return item

    values = np.stack([STORED, STORED])
    enhanced = ct(values, PerFrameFunctionalGroupsSequence=[group(2, 40), group(2, -600)])
    for frame, centre in enumerate((40, -600)):
        plain = ct(STORED, WindowCenter=centre, WindowWidth=200)
        np.testing.assert_array_equal(dicom.read(enhanced, frame=frame).pixels, dicom.read(plain).pixels)
    flat = dicom.read(ct(values, PerFrameFunctionalGroupsSequence=[group(1, 0), group(1, 0)]), window="soft").pixels
    assert not np.array_equal(flat, dicom.read(enhanced, frame=1, window="soft").pixels)


def test_free_text_in_coded_fields_does_not_pass():
    loaded = dicom.read(ct(STORED, BodyPartExamined="DOE JANE", ViewPosition="JANE"))
    assert (loaded.modality, loaded.body_part, loaded.view) == ("ct", "", "")


def test_padding_outside_the_scanner_does_not_darken_the_picture():
    plain = dicom.read(ct(STORED)).pixels
    padded = dicom.read(ct(np.vstack([STORED, [[-3000, -3000]]]), PixelPaddingValue=-3000)).pixels
    assert not padded[-1].any()
    assert padded[:-1].max() == plain.max() == 255


def test_files_that_are_not_dicom_are_refused(tmp_path):
    note = tmp_path / "note.dcm"
    note.write_text("this is no image, but it is long enough to look into " * 9)
    (tmp_path / "empty.dcm").write_bytes(b"")
    for path in (note, tmp_path / "empty.dcm", tmp_path / "missing.dcm"):
        with pytest.raises(UserError, match=path.name):
            dicom.read(path)
    cut = ct(STORED)[:-6]
    with pytest.raises(UserError, match=r"cannot read DICOM data: .*less than expected"):
        dicom.read(cut)


def test_load_image_file_reads_dicom_by_content(tmp_path):
    (tmp_path / "scan").write_bytes(ct(STORED, BodyPartExamined="CHEST"))
    loaded = images.load_image_file(tmp_path / "scan", channels=3, window="lung")
    assert loaded.pixels.shape == (3, 2, 3)
    assert (loaded.modality, loaded.body_part) == ("ct", "chest")
