"""Pictures of records as a code model takes them, and prepared sets whose records carry their codes."""

import dataclasses
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import images as image_io
from data_pipelines.read import PreparedSplit
from data_pipelines.shards import ShardWriter, serialise
from data_pipelines.slots import shrink
from unimedvlp.code_model import CodeModel
from unimedvlp.errors import UserError
from unimedvlp.objects import decode_mask
from unimedvlp.records import Record, check

_AT_ONCE = 64  # records whose pictures are held in memory
_SHARD_BYTES = 256 * 2**20


def image_picture(record: Record, model: CodeModel) -> np.ndarray:
    """Image 0 of a record as uint8 `[S, S, C]`. UserError where it cannot be decoded."""
    image = image_io.decode(record.images[0], size=model.size, channels=model.system.model.channels)
    return image_io.resize(image, model.size, model.resize)[0]


def mask_pictures(record: Record, model: CodeModel) -> list[np.ndarray]:
    """The masks of a record as uint8 `[S, S, 1]` of 0 and 1."""
    return [shrink(decode_mask(data), model.size)[..., None] for data in record.masks]


def full_size(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """A decoded mask `[S, S, 1]` of probabilities as bool `[height, width]`."""
    return cv2.resize(probability[..., 0], (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5


def with_codes(records: Sequence[Record], images: CodeModel | None, masks: CodeModel | None) -> list[Record]:
    """The records with the codes of their first image and of all their masks, as far as there is a model for them."""
    changes: list[dict[str, np.ndarray]] = [{} for _ in records]
    if images is not None:
        shown = [i for i, record in enumerate(records) if record.images]
        if shown:
            found = images.encode(np.stack([image_picture(records[i], images) for i in shown]))
            for i, codes in zip(shown, found, strict=True):
                changes[i]["image_codes"] = codes
    if masks is not None:
        pictures = [mask_pictures(record, masks) for record in records]
        flat = [picture for part in pictures for picture in part]
        found = iter(masks.encode(np.stack(flat)) if flat else ())
        for change, part in zip(changes, pictures, strict=True):
            if part:
                change["mask_codes"] = np.concatenate([next(found) for _ in part])
    return [check(dataclasses.replace(record, **change)) for record, change in zip(records, changes, strict=True)]


def write_coded(
    source: Path,
    final: Path,
    images: CodeModel | None,
    masks: CodeModel | None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:
    """Write the prepared set `source` again as `final`, its records with codes; nothing is left of a run that breaks off."""
    if final.exists():
        raise UserError(f"{final} is already there; remove it, or choose another --out")
    info = tfds.builder_from_directory(source).info
    draft = final.parent / f"incomplete.{final.name}.{uuid.uuid4().hex}"
    draft.mkdir(parents=True)
    try:
        writer = ShardWriter(draft, _SHARD_BYTES, (), lambda shard: None)
        for split in info.splits:
            records = PreparedSplit(source, split)
            for start in progress(range(0, len(records), _AT_ONCE)):
                part = [records[i] for i in range(start, min(start + _AT_ONCE, len(records)))]
                for record in with_codes(part, images, masks):
                    writer.add(split, serialise(record))
        config = info.config_name or ""
        writer.close(info.name, config, str(info.version), info.description or "", info.redistribution_info.license)
        for path in source.iterdir():  # the summary and what was set aside
            if (
                path.is_file()
                and not path.name.startswith(("dataset_info", "features"))
                and "array_record" not in path.name
            ):
                shutil.copy2(path, draft / path.name)
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
