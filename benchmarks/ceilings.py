"""What quantisation and polygons cost: overlap of boxes and masks with themselves after a trip through tokens.

    python -m benchmarks.ceilings --data data

reads every prepared data set under a folder. No model that speaks in these tokens can score higher on them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import rich
import tensorflow_datasets as tfds
from rich.table import Table

from data_pipelines.images import decode
from data_pipelines.read import PreparedSplit
from unimedvlp.errors import UserError
from unimedvlp.records import Record
from unimedvlp.tokens import geometry
from unimedvlp.tokens.region_sequences import MAX_OBJECTS

POINTS = (8, 16, 32, 64, 128, 512, 10**6)


def main() -> None:
    """Print one table of boxes and one of masks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with prepared data sets")
    folders = sorted(path.parent for path in parser.parse_args().data.rglob("dataset_info.json"))
    if not folders:
        raise UserError("no prepared data set there; make one with `unimedvlp prepare`")
    boxes = _table(
        "boxes", "images", "boxes", "IoU mean", "IoU lowest", "no area left", f"beyond {MAX_OBJECTS} an image"
    )
    masks = _table("masks", "points", "masks", "Dice mean", "Dice lowest", "tokens mean", "parts dropped", "ms a mask")
    for folder in folders:
        records = _records(folder)
        name = str(folder.relative_to(folder.parents[2]))
        if any(len(record.boxes) for record in records):
            boxes.add_row(name, *measure_boxes([record.boxes for record in records if len(record.boxes)]))
        found = [decode(data, channels=1)[..., 0] > 0 for record in records for data in record.masks]
        for points in POINTS if found else ():
            masks.add_row(name, f"{points:,}", *measure_masks(found, points))
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


def _records(folder: Path) -> list[Record]:
    """Records of every split."""
    splits = tfds.builder_from_directory(folder).info.splits
    return [record for split in splits for record in PreparedSplit(folder, split)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in ("data set", *columns):
        table.add_column(column)
    return table


if __name__ == "__main__":
    main()
