"""A U-Net in PyTorch on the lungs of the COVID-19 radiographs: what a specialist makes of the same split and as many pictures.

    python -m benchmarks.unimed_unet --data data --steps 320

Ronneberger et al. (2015), with batch normalisation and padding. Images, augmentation and scores are those of
configs/pretrain/unimed.py:tiny, which shows 2,560 pictures of lungs: 320 steps of 8. A row is added to
docs/results/unimed_lungs.csv, with the minutes of processor time that training took. Needs PyTorch.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.results_table import append
from configs.pretrain.unimed import LUNGS, get_config
from data_pipelines import input as inputs
from data_pipelines.batch import BatchSpec
from data_pipelines.read import PreparedSplit
from data_pipelines.transforms import Augment
from unimedvlp import config as configs
from unimedvlp import objects, runs
from unimedvlp.evaluation.segmentation import segmentation
from unimedvlp.records import Record
from unimedvlp.tasks.segment import Segment

COLUMNS = ("model", "split", "seed", "steps", "minutes", "parameters", "dice", "low", "high", "masks", "threads")
TASK = Segment(classes=("lung",))


class UNet(nn.Module):
    """Five scales of `width`, 2 `width`, ... channels: images [B, 3, H, W] -> logits [B, H, W]."""

    def __init__(self, width: int = 16):
        super().__init__()
        widths = [width << i for i in range(5)]
        self.down = nn.ModuleList(_double(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(_double(3 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, 3, H, W], sides multiples of 16 -> [B, H, W]."""
        kept = []
        for i, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if i else x)
            kept.append(x)
        for i in reversed(range(len(self.up))):
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = self.up[i](torch.cat([kept[i], x], dim=1))
        return self.head(x)[:, 0]


def _double(before: int, after: int) -> nn.Sequential:
    parts = []
    for width in (before, after):
        parts += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*parts)


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, scores held-out patients and adds a row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unimed_unet", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--steps", type=int, default=320, help="of 8 pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=Path, default=Path("docs/results/unimed_lungs.csv"))
    options = parser.parse_args(argv)
    torch.manual_seed(options.seed)
    config = get_config("tiny")
    spec = configs.build(BatchSpec, config.data.spec, "data.spec")
    augment = configs.build(Augment, config.data.augment, "data.augment")
    train_split, held_out = (
        [record for record in PreparedSplit(options.data / LUNGS, split) if TASK.serves(record)]
        for split in ("train", options.split)
    )
    model = UNet()
    begun = time.process_time()
    train(model, train_split, spec, augment, options.steps, options.seed)
    minutes = (time.process_time() - begun) / 60
    masks = [runs.encode(mask) for mask in predict(model, held_out, spec)]
    truths = [TASK.truth(record, "lung")["mask"] for record in held_out]
    scores = segmentation(masks, truths, ["lung"] * len(truths), np.arange(len(truths))).values()
    parameters = sum(p.numel() for p in model.parameters())
    row = {
        "model": "U-Net (PyTorch)", "split": options.split, "seed": options.seed, "steps": options.steps,
        "minutes": f"{minutes:.1f}", "parameters": parameters, "dice": f"{scores['dice'].value:.4f}", "low": f"{scores['dice'].low:.4f}",
        "high": f"{scores['dice'].high:.4f}", "masks": len(truths), "threads": torch.get_num_threads(),
    }  # fmt: skip
    append(options.out, row, COLUMNS)
    print(row)


def train(model: UNet, records: list[Record], spec: BatchSpec, augment: Augment, steps: int, seed: int) -> None:
    """AdamW at 1e-3 with a warm-up and a cosine, cross-entropy and dice, batches of 8."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    rng = np.random.default_rng(seed)
    model.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / steps)) * min(1, (step + 1) / 50)
        chosen = [records[i] for i in rng.integers(len(records), size=8)]
        pairs = [inputs.load(record, (TASK,), spec, rng, augment) for record in chosen]
        images = _images([pair[0] for pair in pairs])
        truth = torch.from_numpy(np.stack([_mask(pair[2], spec.image_size) for pair in pairs]).astype(np.float32))
        logits = model(images)
        said = torch.sigmoid(logits)
        overlap = (said * truth).sum((1, 2))
        dice = 1 - (2 * overlap + 1) / (said.sum((1, 2)) + truth.sum((1, 2)) + 1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth) + dice.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def predict(model: UNet, records: list[Record], spec: BatchSpec) -> list[np.ndarray]:
    """Masks bool [H, W] of the records' images at the network's size."""
    model.eval()
    images = [inputs.load(record, (TASK,), spec)[0] for record in records]
    return [(model(_images([image]))[0] > 0).numpy() for image in images]


def _images(images: list[np.ndarray]) -> torch.Tensor:
    """First views uint8 [V, H, W, 3] -> float [B, 3, H, W], about -1..1."""
    return torch.from_numpy(np.stack([image[0] for image in images])).permute(0, 3, 1, 2).float() / 127.5 - 1


def _mask(record: Record, size: int) -> np.ndarray:
    """All lungs of a moved record [size, size]; none if augmentation lost them."""
    found = [objects.decode_mask(data) for data in record.masks]
    return np.any(found, axis=0) if found else np.zeros((size, size), bool)


if __name__ == "__main__":
    main()
