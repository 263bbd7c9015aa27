"""Pictures as owners ship them: PNG and JPEG files byte for byte, DICOM files as 8-bit PNG without identifying tags."""

import dataclasses
import io
from pathlib import Path

from PIL import Image

from data_pipelines.images import JPEG, PNG, encode_png
from data_pipelines.native import attached
from data_pipelines.summary import SetAside
from unimedvlp.errors import UserError

DICOM_SUFFIXES = (".dcm", ".dicom")
SUFFIXES = (".png", ".jpg", ".jpeg", *DICOM_SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Picture:
    """An encoded PNG or JPEG, its size in pixels and what a DICOM file says of itself."""

    data: bytes
    height: int
    width: int
    modality: str = "other"
    body_part: str = ""
    view: str = ""


def read_picture(source: Path, name: str, study_id: str) -> Picture | SetAside:
    """The picture in file `name` of folder `source`, told apart by content; what is set aside says why and names the file.

    PNG and JPEG files are read as far as their size; `prepare` decodes them in full.
    """
    data, why = attached(source, name)
    if why or not data:
        return SetAside(study_id, why or "image file is empty", name)
    if data.startswith((PNG, JPEG)):
        try:
            with Image.open(io.BytesIO(data)) as image:
                return Picture(data, image.height, image.width)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return SetAside(study_id, f"unreadable image: {_short(error)}", name)
    if data[128:132] == b"DICM" or name.lower().endswith(DICOM_SUFFIXES):
        from data_pipelines import dicom

        try:
            loaded = dicom.read(data)
        except UserError as error:
            return SetAside(study_id, str(error), name)
        height, width = loaded.pixels.shape[:2]
        return Picture(encode_png(loaded.pixels), height, width, loaded.modality, loaded.body_part, loaded.view)
    return SetAside(study_id, "neither PNG, JPEG nor DICOM", name)


def _short(error: Exception) -> str:
    return "not an image" if isinstance(error, Image.UnidentifiedImageError) else str(error)
