"""Pictures as codes: score trained autoencoders on a split, with a page of pictures, and write data sets with their codes."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from data_pipelines.coded import full_size, image_picture, mask_pictures, write_coded
from data_pipelines.read import PreparedSplit
from launch.main import run
from unimedvlp import config as configs
from unimedvlp.code_model import CodeModel
from unimedvlp.errors import UserError
from unimedvlp.evaluation import codes as scores
from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.evaluation.page import Page, Row
from unimedvlp.evaluation.plots import pairs
from unimedvlp.models import fsq
from unimedvlp.objects import decode_mask
from unimedvlp.records import Record

EXAMPLE = """examples:
  unimedvlp codes --images runs/image_codes --masks runs/mask_codes --data data --page runs/codes.html
  unimedvlp codes --images runs/image_codes --data data --path iu_xray/r2gen/1.0.0 --out coded"""
SHOWN = 8  # pictures of each data set on the page


def main(argv: list[str]) -> int:
    """Print scores (or write a page of them), or write coded data sets."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp codes",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=Path, help="working directory of configs/pretrain/codes.py:images")
    parser.add_argument("--masks", type=Path, help="working directory of configs/pretrain/codes.py:masks")
    parser.add_argument("--data", default=Path("data"), type=Path, help="folder of the prepared data sets")
    parser.add_argument("--path", nargs="+", default=[], help="data sets below it (default: those trained on)")
    parser.add_argument("--split", default="test", help="split to score (default: test)")
    parser.add_argument("--page", type=Path, help="write scores and pictures to this HTML file")
    parser.add_argument("--out", type=Path, help="write the data sets, their records with codes, below this folder")
    parser.add_argument("--which", default="newest", choices=("best", "newest"), help="which weights (default: newest)")
    options = parser.parse_args(argv)
    if options.images is None and options.masks is None:
        raise UserError("codes needs --images WORKDIR, --masks WORKDIR, or both")
    if options.out and options.out.resolve() == options.data.resolve():
        raise UserError(f"--out {options.out} is the folder of the data itself; choose another")
    images = CodeModel.load(options.images, "images", options.which) if options.images else None
    masks = CodeModel.load(options.masks, "masks", options.which) if options.masks else None
    if options.out:
        for path in options.path or _trained_on(options.images, options.masks):
            write_coded(options.data / path, options.out / path, images, masks, lambda x, path=path: track(x, path))
            print(f"done: {options.out / path}")
        return 0
    page = Page("Pictures as codes", f"{options.split} split")
    found = {}
    for model, workdir, of in ((images, options.images, "images"), (masks, options.masks, "masks")):
        if model is not None:
            paths = options.path or _trained_on(workdir)
            found[of] = _score(page, model, of, options.data, paths, options.split)
    print(
        json.dumps({of: {row: _plain(values) for row, values in rows.items()} for of, rows in found.items()}, indent=1)
    )
    if options.page:
        print(f"page: {page.write(options.page)}")
    return 0


def _trained_on(*workdirs: Path | None) -> list[str]:
    configs_ = [configs.reload(workdir) for workdir in workdirs if workdir]
    return list(dict.fromkeys(entry.path for config in configs_ for entry in config.data.train.values()))


def _score(
    page: Page, model: CodeModel, of: str, data: Path, paths: Sequence[str], split: str
) -> dict[str, dict[str, Value]]:
    """Scores of every data set, which also go onto the page with some of its pictures."""
    page.heading(of)
    rows, used = {}, []
    for path in paths:
        records = [
            record
            for record in PreparedSplit(data / path, split)
            if (record.images if of == "images" else record.masks)
        ]
        if not records:
            continue
        name = path.split("/")[0]
        pictures, rows[name], codes = (_images if of == "images" else _masks)(model, records)
        used.append(codes)
        page.figure(pairs(*pictures), f"{name}: pictures of the split above, the same from their codes below.")
    if not rows:
        raise UserError(f"none of {', '.join(paths)} has {of} in split {split}")
    size = fsq.size(model.system.model.levels)
    rows["all"] = scores.usage(np.concatenate(used), size).values()
    bits = np.log2(size) * model.grid[0] * model.grid[1]
    page.table(
        [Row(name, values) for name, values in rows.items()],
        f"{size} codes, {model.grid[0]} x {model.grid[1]} a picture of {model.size} x {model.size} pixels ({bits:.0f} bits).",
        best=None,
    )
    return rows


def _images(model: CodeModel, records: Sequence[Record]) -> tuple:
    images = np.stack([image_picture(record, model) for record in track(records, "reading", transient=True)])
    codes = model.encode(images)
    back = model.decode(codes)
    small = np.stack([_thumbnail(image, model.grid[0]) for image in images])
    values = scores.psnr(images, back).values()
    values["psnr of a thumbnail"] = scores.psnr(images, small).values()["psnr"]
    values |= scores.usage(codes, fsq.size(model.system.model.levels)).values()
    shown = _spread(len(images))
    return (images[shown], back[shown]), values, codes


def _masks(model: CodeModel, records: Sequence[Record]) -> tuple:
    groups = np.repeat(np.arange(len(records)), [len(record.masks) for record in records])
    true = [decode_mask(data) for record in records for data in record.masks]
    small = np.stack([picture for record in records for picture in mask_pictures(record, model)])
    codes = model.encode(small)
    back = model.decode(codes)
    full = [full_size(found, *mask.shape) for found, mask in zip(back, true, strict=True)]
    inside = small[..., 0] > 0
    values = scores.mask_dice(inside, back[..., 0] >= 0.5, groups).values()
    values["dice at full size"] = scores.mask_dice(true, full, groups).values()["dice"]
    values |= scores.usage(codes, fsq.size(model.system.model.levels), groups).values()
    shown = _spread(len(small))
    return (small[shown] * np.uint8(255), np.uint8(255 * (back[shown] >= 0.5))), values, codes


def _thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """The image from a thumbnail of one pixel a code: what a code must beat."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[:2], interpolation=cv2.INTER_CUBIC).reshape(image.shape)


def _spread(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))


def _plain(values: dict[str, Value]) -> dict[str, list[float]]:
    return {name: [round(x, 4) for x in (value.value, value.low, value.high)] for name, value in values.items()}


if __name__ == "__main__":
    sys.exit(run(main))
