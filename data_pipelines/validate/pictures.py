"""One look at an encoded image or mask: whether it can be read, what it is made of, and what it can be recognised by."""

import dataclasses
import hashlib
import io

import cv2
import numpy as np
from PIL import Image

from data_pipelines.images import decode, with_channels
from unimedvlp.errors import UserError

BITS = 16  # the hash has BITS * BITS bits
THUMBNAIL = 32  # side in pixels
ORIENTATION = 0x0112  # EXIF tag


@dataclasses.dataclass(frozen=True)
class Look:
    """An image that was decoded in full; `fault` says why it could not be, and then the rest is empty.

    `turned`: its EXIF tag says that viewers turn or mirror it, which neither boxes nor models do.
    `digest` is equal for equal pixels, `code` bool `[256]` is near for images that look alike, `thumbnail` is uint8 `[32, 32]`.
    """

    fault: str = ""
    height: int = 0
    width: int = 0
    constant: bool = False
    turned: bool = False
    digest: bytes = b""
    code: np.ndarray | None = None
    thumbnail: np.ndarray | None = None


def look(data: bytes) -> Look:
    """Decode an image and describe it."""
    try:
        pixels = decode(data, channels=None)
    except UserError as error:
        return Look(str(error))
    height, width, channels = pixels.shape
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=16, key=f"{height}x{width}x{channels}".encode()).digest()
    grey = with_channels(pixels, 1)[..., 0]
    thumbnail = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    constant = bool(np.all(pixels == pixels[0, 0]))
    return Look("", height, width, constant, _turned(data), digest, perceptual_hash(grey), thumbnail)


def _turned(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif().get(ORIENTATION, 1) not in (0, 1)


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """The DCT hash of a grey image uint8 `[H, W]` as bool `[256]` (Zauner 2010, with 16 x 16 frequencies instead of 8 x 8).

    64 bits do not tell chest radiographs apart: standard views of different people agree in most of them.
    """
    small = cv2.resize(grey, (4 * BITS, 4 * BITS), interpolation=cv2.INTER_AREA).astype(np.float32)
    frequencies = cv2.dct(small)[:BITS, :BITS].ravel()
    frequencies[0] = 0  # the mean brightness says nothing of the content
    return frequencies > np.median(frequencies)


@dataclasses.dataclass(frozen=True)
class Stencil:
    """A mask: its size and how many pixels are inside; `fault` says why it could not be read."""

    fault: str = ""
    height: int = 0
    width: int = 0
    inside: int = 0


def stencil(data: bytes) -> Stencil:
    """Decode a mask and measure it."""
    try:
        pixels = decode(data, channels=1)
    except UserError as error:
        return Stencil(str(error))
    return Stencil("", *pixels.shape[:2], int(np.count_nonzero(pixels)))
