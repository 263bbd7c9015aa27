"""Encoded images to uint8 arrays and back, and the geometry that boxes and masks follow.

A geometry is an affine matrix `[3, 3]` on homogeneous (x, y, 1) in 0..1 of the image, from source to result; geometries
compose by `@`.
"""

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from unimedvlp.errors import UserError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
IDENTITY = np.eye(3)
RESIZE_MODES = ("squash", "letterbox")
_REDUCED = {
    (1, 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (1, 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (1, 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (3, 2): cv2.IMREAD_REDUCED_COLOR_2,
    (3, 4): cv2.IMREAD_REDUCED_COLOR_4,
    (3, 8): cv2.IMREAD_REDUCED_COLOR_8,
}
cv2.setNumThreads(1)  # threads and processes each work on a picture of their own
_READ = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR, None: cv2.IMREAD_ANYCOLOR}


@dataclasses.dataclass(frozen=True)
class LoadedImage:
    """Pixels uint8 `[H, W, C]` of a file and what it says of itself (DICOM only); nothing that identifies a patient."""

    pixels: np.ndarray
    modality: str = "other"
    body_part: str = ""
    view: str = ""


def decode(data: bytes, *, size: int | None = None, channels: int | None = 3) -> np.ndarray:
    """PNG or JPEG bytes as uint8 `[H, W, C]`, RGB for C = 3. `channels=None` keeps grey as 1 and colour as 3.

    `size` is a hint: a JPEG whose shorter side is at least twice that is decoded at a half, quarter or eighth of its
    scale, still no smaller than `size`. 16-bit images are scaled to 8 bits by their own range. Alpha is dropped.
    Raises UserError for bytes that are not a whole PNG or JPEG.
    """
    image = read_stored(data, size=size, channels=channels)
    if image.dtype != np.uint8:
        image = to_uint8(image)
    if image.ndim == 2:
        return image[..., None]
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_stored(data: bytes, *, size: int | None = None, channels: int | None = None) -> np.ndarray:
    """PNG or JPEG bytes as OpenCV has them: grey `[H, W]` or BGR `[H, W, 3]`, uint8 or uint16. Arguments as for `decode`."""
    if data.startswith(PNG):
        whole, flag = b"IEND" in data[-1024:], _READ[channels] | cv2.IMREAD_ANYDEPTH
    elif data.startswith(JPEG):
        whole, flag = b"\xff\xd9" in data[-1024:], _jpeg_flag(data, size, channels)
    else:
        raise UserError(f"neither PNG nor JPEG ({len(data)} bytes beginning {data[:8].hex(' ')})")
    flag |= cv2.IMREAD_IGNORE_ORIENTATION  # boxes and masks are those of the pixels as stored, whatever EXIF says
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if whole else None
    if image is None:
        raise UserError(f"the image is {'damaged' if whole else 'cut off'} ({len(data)} bytes)")
    return image


def encode_png(image: np.ndarray) -> bytes:
    """A uint8 image `[H, W]` or `[H, W, C]` (1, or 3 as RGB) as PNG, lossless."""
    if image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", image)[1].tobytes()


def to_uint8(image: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Numbers of any type scaled so that `low`..`high` (default: the range of the image) become 0..255, clipped."""
    low = float(image.min()) if low is None else low
    high = float(image.max()) if high is None else high
    scale = 255 / (high - low) if high > low else 0.0
    return np.clip(np.rint((image.astype(np.float32) - low) * scale), 0, 255).astype(np.uint8)


def resize(image: np.ndarray, size: int, mode: str = "squash") -> tuple[np.ndarray, np.ndarray]:
    """An image `[H, W, C]` as `[size, size, C]`, and the geometry `[3, 3]`.

    "squash" stretches both sides to `size`; "letterbox" keeps the shape and centres it on black.
    """
    if mode not in RESIZE_MODES:
        raise UserError(f"unknown resize mode {mode!r}; known: {', '.join(RESIZE_MODES)}")
    height, width = image.shape[:2]
    if mode == "squash" or height == width:
        return _scale(image, size, size), IDENTITY
    scale = size / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - h) // 2, (size - w) // 2
    canvas = np.zeros((size, size, image.shape[2]), image.dtype)
    canvas[top : top + h, left : left + w] = _scale(image, h, w)
    return canvas, np.array([[w / size, 0, left / size], [0, h / size, top / size], [0, 0, 1]])


def resize_mask(mask: np.ndarray, size: int, mode: str = "squash") -> np.ndarray:
    """A mask `[H, W, 1]` (non-zero = inside) as `[size, size]` of 0 and 255, by the geometry of `resize`."""
    return np.where(resize((mask > 0) * np.uint8(255), size, mode)[0][..., 0] > 127, np.uint8(255), np.uint8(0))


def move_boxes(boxes: np.ndarray, geometry: np.ndarray) -> np.ndarray:
    """Boxes `[N, 4]` (ymin xmin ymax xmax) after a geometry: the upright hulls of their corners, not clipped."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    y, x = boxes[:, [0, 0, 2, 2]], boxes[:, [1, 3, 1, 3]]
    x, y, _ = np.einsum("ij,jnk->ink", geometry, np.stack([x, y, np.ones_like(x)]))
    return np.stack([y.min(1), x.min(1), y.max(1), x.max(1)], axis=1).astype(np.float32)


def load_image_file(path: str | Path, *, channels: int | None = None, window: str | None = None) -> LoadedImage:
    """Read a PNG, JPEG or DICOM file, told apart by content. `window` is for CT only (see `dicom.read`).

    Raises UserError naming the file for one that is missing, damaged or of another kind.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read image {path}: {error.strerror}") from error
    if data.startswith((PNG, JPEG)):
        try:
            return LoadedImage(decode(data, channels=channels))
        except UserError as error:
            raise UserError(f"cannot read image {path}: {error}") from error
    if data[128:132] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom"):
        from data_pipelines import dicom

        loaded = dicom.read(path, window=window)
        return dataclasses.replace(loaded, pixels=with_channels(loaded.pixels, channels))
    raise UserError(f"cannot read image {path}: neither PNG, JPEG nor DICOM")


def with_channels(image: np.ndarray, channels: int | None) -> np.ndarray:
    """An image `[H, W, 1 or 3]` with 1 (luminance) or 3 (repeated) channels; None keeps it."""
    if channels is None or image.shape[2] == channels:
        return image
    return (
        cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if channels == 3 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    )


def _scale(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return scaled if scaled.ndim == 3 else scaled[..., None]


def _jpeg_flag(data: bytes, size: int | None, channels: int | None) -> int:
    if size:
        height, width, components = jpeg_frame(data)
        for factor in (8, 4, 2):
            if min(height, width) >= factor * size:
                return _REDUCED[channels or (1 if components == 1 else 3), factor]
    return _READ[channels]


def jpeg_frame(data: bytes) -> tuple[int, int, int]:
    """Height, width and number of components from the frame header of a JPEG; zeros where there is none."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9]), data[at + 9]
        at += 2 + length if marker != 0xFF else 1
    return 0, 0, 0
