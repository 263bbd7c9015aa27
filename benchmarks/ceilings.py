"""What tokens cost: overlap of boxes and masks with themselves after a trip through bins, polygons or mask codes.

    python -m benchmarks.ceilings --data data
    python -m benchmarks.ceilings --data data --codes runs/mask_codes --split test

reads every prepared data set under a folder. No model that speaks in these tokens can score higher on them. Codes are only as
good as the autoencoder that was trained (`configs/pretrain/codes.py:masks`): score them on splits that it did not learn from.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import rich
import tensorflow_datasets as tfds
from rich.table import Table

from data_pipelines.coded import full_size
from data_pipelines.images import decode
from data_pipelines.read import PreparedSplit
from data_pipelines.slots import shrink
from unimedvlp.code_model import CodeModel
from unimedvlp.errors import UserError
from unimedvlp.records import Record
from unimedvlp.tokens import geometry
from unimedvlp.tokens.region_sequences import MAX_OBJECTS

POINTS = (8, 16, 32, 64, 128, 512, 10**6)


def main() -> None:
    """Print one table of boxes and one of masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with prepared data sets")
    parser.add_argument("--codes", type=Path, help="working directory of trained mask codes")
    parser.add_argument("--split", default="", help="one split instead of all")
    options = parser.parse_args()
    model = CodeModel.load(options.codes, "masks") if options.codes else None
    folders = sorted(path.parent for path in options.data.rglob("dataset_info.json"))
    if not folders:
        raise UserError("no prepared data set there; make one with `unimedvlp prepare`")
    boxes = _table(
        "boxes", "images", "boxes", "IoU mean", "IoU lowest", "no area left", f"beyond {MAX_OBJECTS} an image"
    )
    masks = _table("masks", "form", "masks", "Dice mean", "Dice lowest", "tokens mean", "parts dropped", "ms a mask")
    for folder in folders:
        records = _records(folder, options.split)
        name = str(folder.relative_to(folder.parents[2]))
        if any(len(record.boxes) for record in records):
            boxes.add_row(name, *measure_boxes([record.boxes for record in records if len(record.boxes)]))
        found = [decode(data, channels=1)[..., 0] > 0 for record in records for data in record.masks]
        for points in POINTS if found else ():
            masks.add_row(name, f"{points:,} points", *measure_masks(found, points))
        if model and found:
            side, _ = model.grid
            masks.add_row(name, f"{side} x {side} codes", *measure_codes(found, model))
    rich.print(boxes, masks)


def measure_boxes(images: list[np.ndarray]) -> list[str]:
    """Cells of a row: IoU of boxes with what is read back of them, and what does not fit."""
    boxes = np.concatenate(images)
    read = geometry.dequantize(geometry.quantize(boxes))
    shared = np.minimum(boxes[:, 2:], read[:, 2:]) - np.maximum(boxes[:, :2], read[:, :2])
    overlap = shared.clip(0).prod(axis=1)
    areas, read_areas = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, read))
    iou = overlap / (areas + read_areas - overlap)
    beyond = sum(max(len(found) - MAX_OBJECTS, 0) for found in images)
    shares = f"{iou.mean():.4f}", f"{iou.min():.3f}"
    return [f"{len(images):,}", f"{len(boxes):,}", *shares, f"{(read_areas == 0).sum():,}", f"{beyond:,}"]


def measure_masks(masks: list[np.ndarray], points: int) -> list[str]:
    """Cells of a row: Dice of masks with what is filled again from `points` points."""
    dice, tokens, dropped = [], [], 0
    begin = time.perf_counter()
    found = [geometry.polygons(mask, points) for mask in masks]
    spent = time.perf_counter() - begin
    for mask, (parts, missing) in zip(masks, found, strict=True):
        read = geometry.rasterize((geometry.dequantize(geometry.quantize(part)) for part in parts), *mask.shape)
        dice.append(2 * (read & mask).sum() / (read.sum() + mask.sum()))
        tokens.append(sum(2 * len(part) + 1 for part in parts))
        dropped += missing
    shares = f"{np.mean(dice):.4f}", f"{np.min(dice):.3f}"
    return [f"{len(masks):,}", *shares, f"{np.mean(tokens):,.0f}", f"{dropped:,}", f"{1e3 * spent / len(masks):.2f}"]


def measure_codes(masks: list[np.ndarray], model: CodeModel) -> list[str]:
    """Cells of a row: Dice of masks with what their codes become at the mask's own size."""
    begin = time.perf_counter()
    codes = model.encode(np.stack([shrink(mask, model.size)[..., None] for mask in masks]))
    spent = time.perf_counter() - begin
    read = [full_size(found, *mask.shape) for found, mask in zip(model.decode(codes), masks, strict=True)]
    dice = [2 * (one & mask).sum() / (one.sum() + mask.sum()) for one, mask in zip(read, masks, strict=True)]
    shares = f"{np.mean(dice):.4f}", f"{np.min(dice):.3f}"
    return [f"{len(masks):,}", *shares, f"{codes.shape[1]:,}", "0", f"{1e3 * spent / len(masks):.2f}"]


def _records(folder: Path, split: str) -> list[Record]:
    """Records of one split, none where it has not got it, or of every split."""
    splits = tfds.builder_from_directory(folder).info.splits
    return [record for name in splits if name == split or not split for record in PreparedSplit(folder, name)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in ("data set", *columns):
        table.add_column(column)
    return table


if __name__ == "__main__":
    main()
