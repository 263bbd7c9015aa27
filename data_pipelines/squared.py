"""Records whose images are square already: what "letterbox" would make of them, with boxes and masks moved along.

Predictions are fractions of the square image that an encoder sees; truths read from here are fractions of the same.
"""

import dataclasses
from collections.abc import Sequence

from data_pipelines import images as image_io
from unimedvlp.errors import UserError
from unimedvlp.records import Record


class Squared(Sequence[Record]):
    """The records of a source, each image centred on black at its own scale. One that cannot be read stays as it is: whoever
    decodes it finds out."""

    def __init__(self, source: Sequence[Record]):
        self._source = source
        self.folder, self.split = getattr(source, "folder", None), getattr(source, "split", None)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        record = self._source[index]
        try:
            return squared(record)
        except UserError:
            return record


def squared(record: Record) -> Record:
    """One record with square images; boxes and masks belong to the first."""
    if not record.images:
        return record
    found = [image_io.decode(data, channels=None) for data in record.images]
    framed = [image_io.resize(image, max(image.shape[:2]), "letterbox") for image in found]
    masks = [image_io.decode(data, channels=1) for data in record.masks]
    masks = [image_io.resize_mask(mask, max(mask.shape[:2]), "letterbox") for mask in masks]
    return dataclasses.replace(
        record,
        images=tuple(image_io.encode_png(image) for image, _ in framed),
        boxes=image_io.move_boxes(record.boxes, framed[0][1]),
        masks=tuple(image_io.encode_png(mask) for mask in masks),
    )
