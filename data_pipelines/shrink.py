"""Smaller images for `prepare --resize`: most models look at 224 pixels, and decoding a full radiograph for that is what
an input pipeline spends its time on."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.images import JPEG, jpeg_frame, read_stored
from unimedvlp.records import Record

QUALITY = 95  # of a JPEG that was a JPEG before


def shrink(record: Record, side: int) -> Record:
    """The record with each image scaled so that its shorter side has `side` pixels, and masks with it. Never enlarges.

    A JPEG is stored as JPEG of quality 95 and a PNG as PNG (8 or 16 bits, grey or colour as before). Boxes are relative and
    stay as they are. A mask keeps the pixels that are more than half inside; one that would vanish keeps all it touches.
    """
    return dataclasses.replace(
        record,
        images=tuple(_image(data, side) for data in record.images),
        masks=tuple(_mask(data, side) for data in record.masks),
    )


def _image(data: bytes, side: int) -> bytes:
    jpeg = data.startswith(JPEG)
    image = read_stored(data, size=side)
    size = _size(*(jpeg_frame(data)[:2] if jpeg else image.shape[:2]), side)
    if size is None:
        return data
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if jpeg:
        return cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return cv2.imencode(".png", smaller)[1].tobytes()


def _mask(data: bytes, side: int) -> bytes:
    mask = read_stored(data)
    mask = (mask if mask.ndim == 2 else mask.max(axis=2)) > 0
    size = _size(*mask.shape, side)
    if size is None:
        return data
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    inside = share > 0.5
    inside = inside if inside.any() else share > 0
    return cv2.imencode(".png", inside * np.uint8(255))[1].tobytes()


def _size(height: int, width: int, side: int) -> tuple[int, int] | None:
    """Width and height with the shorter side at `side`; None if it is no larger now."""
    short = min(height, width)
    return None if short <= side else (round(width * side / short), round(height * side / short))
