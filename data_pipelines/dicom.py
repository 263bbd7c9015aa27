"""DICOM files to 8-bit pixels, as a viewer shows them, without anything that identifies a patient.

Only the pixels and three coded words (modality, body part, view) leave this module; each word comes from a fixed list, so
free text typed into those fields cannot pass. Text burned into the pixels is not removed.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.images import LoadedImage, to_uint8
from unimedvlp.errors import UserError

# Named CT windows as (centre, width) in Hounsfield units; usual radiological presets.
WINDOWS = {
    "lung": (-600.0, 1500.0),
    "mediastinum": (40.0, 400.0),
    "soft": (40.0, 400.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
_AIR = -1024.0  # Hounsfield units; less is padding outside the scanner's circle
_EXTREMES = np.array([-(2**24), 2**24])
MODALITIES = {
    "CR": "xray", "DX": "xray", "RG": "xray", "PX": "xray", "IO": "xray", "RF": "xray", "MG": "mammography",
    "CT": "ct", "MR": "mr", "US": "ultrasound", "IVUS": "ultrasound", "ES": "endoscopy", "DMS": "dermoscopy",
    "OP": "fundus", "OPT": "oct", "IVOCT": "oct", "SM": "pathology", "GM": "microscopy", "NM": "nuclear",
    "PT": "nuclear", "XA": "angiography",
}  # fmt: skip
REFUSED = {
    "SR": "a structured report", "KO": "a key object note", "PR": "a presentation state", "DOC": "a document",
    "SEG": "a segmentation, not an image", "RTDOSE": "a radiotherapy dose", "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set", "REG": "a registration", "ECG": "a waveform",
}  # fmt: skip
VIEWS = {"PA": "frontal", "AP": "frontal", "LL": "lateral", "RL": "lateral", "LATERAL": "lateral", "LAT": "lateral"}
VIEWS |= {name: name.lower() for name in ("CC", "MLO", "ML", "LM", "LLO", "RLO")}
BODY_PARTS = {
    "ABDOMEN", "ANKLE", "ARM", "BRAIN", "BREAST", "CHEST", "CSPINE", "ELBOW", "EXTREMITY", "EYE", "FACE", "FEMUR",
    "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEART", "HIP", "HUMERUS", "JAW", "KIDNEY", "KNEE", "LEG", "LIVER",
    "LSPINE", "LUNG", "NECK", "PANCREAS", "PELVIS", "PROSTATE", "RIB", "SHOULDER", "SINUS", "SKULL", "SPINE",
    "SPLEEN", "STERNUM", "THIGH", "THORAX", "THYROID", "TOE", "TSPINE", "UTERUS", "WRIST", "WHOLE BODY",
}  # fmt: skip


def read(source: str | Path | bytes, frame: int | str = "middle", window: str | None = None) -> LoadedImage:
    """One frame of a DICOM file as uint8 `[H, W, 1]` (grey) or `[H, W, 3]` (RGB).

    Grey: modality LUT, then the file's VOI LUT or first window (its whole range becomes 0..255; without one, the image's
    own range without padding), then MONOCHROME1 inverted (DICOM PS3.3 C.7.6.3, C.11). `window` names one of `WINDOWS` instead, for CT.
    `frame` is a number from 0, or "middle". Raises UserError, naming the file and the reason, for anything that holds no
    image to look at or cannot be decoded.
    """
    name = "DICOM data" if isinstance(source, bytes) else str(source)
    pydicom = _pydicom()
    try:
        data = pydicom.dcmread(io.BytesIO(source) if isinstance(source, bytes) else source, force=True)
        _refuse(data, window)
        index = _frame(data, frame)
        pixels = pydicom.pixels.pixel_array(data, index=index)
        _lift(data, index)
        grey = data.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2")
        pixels = _grey(data, pixels, window) if grey else _colour(data, pixels)
    except UserError as error:
        raise UserError(f"cannot read {name}: {error}") from error
    except Exception as error:  # pydicom and its plug-ins raise errors of every type on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"cannot read {name}: {reason[:300]}") from error
    return LoadedImage(
        pixels,
        MODALITIES.get(str(data.get("Modality", "")), "other"),
        _known(data, "BodyPartExamined", BODY_PARTS).lower(),
        VIEWS.get(_known(data, "ViewPosition", VIEWS), ""),
    )


def _pydicom() -> Any:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise UserError("reading DICOM needs an extra: pip install unimedvlp[dicom]") from error
    return pydicom


def _refuse(data: Any, window: str | None) -> None:
    modality = str(data.get("Modality", ""))
    if modality in REFUSED:
        raise UserError(f"it is {REFUSED[modality]} ({modality})")
    if "PixelData" not in data:
        raise UserError("it holds no pixels" if len(data) else "it is not a DICOM file")
    if window is not None and window not in WINDOWS:
        raise UserError(f"unknown window {window!r}; known: {', '.join(WINDOWS)}")
    if window is not None and modality != "CT":
        raise UserError(f"window {window!r} is for CT, this is {modality or 'of unknown modality'}; leave it out")


def _frame(data: Any, frame: int | str) -> int:
    count = int(data.get("NumberOfFrames", 1) or 1)
    index = count // 2 if frame == "middle" else frame
    if not isinstance(index, int) or not 0 <= index < count:
        raise UserError(f"frame {frame!r} does not exist; it has {count}, numbered from 0")
    return index


def _lift(data: Any, index: int) -> None:
    """Bring rescale and window of one frame of an enhanced multi-frame file to where single-frame files have them."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = data.get(groups) or []
        group = items[min(index, len(items) - 1)] if items else {}
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for element in group[macro][0] if macro in group else ():
                data[element.tag] = element


def _grey(data: Any, stored: np.ndarray, window: str | None) -> np.ndarray:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(stored, data)
    if window is not None:
        if "RescaleSlope" not in data:
            raise UserError(
                f"window {window!r} needs Hounsfield units, but the file has no Rescale Slope; leave it out"
            )
        centre, width = WINDOWS[window]
        grey = to_uint8(values, centre - width / 2, centre + width / 2)
    elif "VOILUTSequence" in data:
        grey = to_uint8(apply_voi_lut(values, data), 0, 2 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1)
    elif "WindowCenter" in data:
        low, high = apply_voi_lut(_EXTREMES, data)  # what the lowest and the highest of values become
        grey = to_uint8(apply_voi_lut(values, data), low, high)
    else:
        padding = data.get("PixelPaddingValue")
        inside = values if padding is None else values[stored != padding]
        inside = inside if inside.size else values
        low = inside.min()
        if data.get("Modality") == "CT" and "RescaleSlope" in data:
            low = max(low, _AIR)
        grey = to_uint8(values, low, inside.max())
    if data.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return grey[..., None]


def _colour(data: Any, pixels: np.ndarray) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    if data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, data)
        bits = data.RedPaletteColorLookupTableDescriptor[2]
    else:
        bits = data.BitsStored  # pydicom has turned YBR into RGB
    return to_uint8(pixels, 0, 2**bits - 1)


def _known(data: Any, field: str, words: Any) -> str:
    value = str(data.get(field, "")).strip().upper()
    return value if value in words else ""
