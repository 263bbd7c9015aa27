"""The other side of the input benchmark: a Dataset and a DataLoader as a torch user writes them."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
import torch
from PIL import Image, ImageEnhance
from torch.utils.data import DataLoader, Dataset

from data_pipelines.transforms import Augment
from unimedvlp.tokens import sequences
from unimedvlp.tokens.space import TokenSpace

READERS = {"JPEG": ("Pillow", "OpenCV"), "PNG 16 bit": ("OpenCV",), "DICOM": ("pydicom",)}


class Studies(Dataset):
    """Picture and report tokens of each study in a folder."""

    def __init__(self, folder: Path, read: Callable[[Path], torch.Tensor], length: int, space: TokenSpace):
        self.folder, self.read, self.length, self.space = folder, read, length, space
        self.rows = json.loads((folder / "list.json").read_text())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.rows[index]
        ids = sequences.report(self.space, "xray", row["findings"]).response[: self.length]
        padded = torch.zeros(self.length, dtype=torch.int32)
        padded[: len(ids)] = torch.tensor(ids, dtype=torch.int32)
        return {
            "image": self.read(self.folder / row["image"]),
            "text": padded,
            "mask": torch.arange(self.length) < len(ids),
        }


def with_pillow(config: Augment, size: int) -> Callable[[Path], torch.Tensor]:
    """RandomResizedCrop, RandomRotation and ColorJitter by the calls that torchvision makes on Pillow images; uint8 `[3, S, S]`."""

    def read(path: Path) -> torch.Tensor:
        with Image.open(path) as file:
            image = file.convert("RGB")
        side = np.sqrt(np.random.uniform(config.crop, 1))
        width, height = side * image.width, side * image.height
        left, top = np.random.uniform(0, image.width - width), np.random.uniform(0, image.height - height)
        box = (left, top, left + width, top + height)
        image = image.resize((size, size), Image.Resampling.BILINEAR, box)
        image = image.rotate(np.random.uniform(-config.rotate, config.rotate), Image.Resampling.BILINEAR)
        for enhancer, strength in (
            (ImageEnhance.Brightness, config.brightness),
            (ImageEnhance.Contrast, config.contrast),
        ):
            image = enhancer(image).enhance(1 + np.random.uniform(-strength, strength))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    return read


def with_opencv(config: Augment, size: int, load: Callable[[Path], np.ndarray]) -> Callable[[Path], torch.Tensor]:
    """The same steps in OpenCV on what `load` gives, uint8 `[H, W, 3]`; the result is uint8 `[3, S, S]`."""

    def read(path: Path) -> torch.Tensor:
        image = load(path)
        height, width = image.shape[:2]
        side = np.sqrt(np.random.uniform(config.crop, 1))
        h, w = int(height * side), int(width * side)
        top, left = np.random.randint(height - h + 1), np.random.randint(width - w + 1)
        image = cv2.resize(image[top : top + h, left : left + w], (size, size), interpolation=cv2.INTER_AREA)
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), np.random.uniform(-config.rotate, config.rotate), 1.0)
        image = cv2.warpAffine(image, turn, (size, size))
        gain = 1 + np.random.uniform(-config.contrast, config.contrast)
        offset = 255 * np.random.uniform(-config.brightness, config.brightness)
        image = cv2.convertScaleAbs(image, alpha=gain, beta=offset)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))

    return read


def load_jpeg(path: Path) -> np.ndarray:
    """A JPEG in colour."""
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def load_png(path: Path) -> np.ndarray:
    """A 16-bit PNG by its own range."""
    return _in_range(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def load_dicom(path: Path) -> np.ndarray:
    """A DICOM file by the range of its pixels."""
    return _in_range(pydicom.dcmread(path).pixel_array)


def _in_range(deep: np.ndarray) -> np.ndarray:
    low, high = deep.min(), deep.max()
    grey = ((deep.astype(np.float32) - low) * (255 / max(high - low, 1))).astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def loader(
    folder: Path, reader: str, config: Augment, size: int, length: int, batch: int, workers: int, space: TokenSpace
) -> DataLoader:
    """Shuffled batches `{image, text, mask}`, uint8 images."""
    if reader == "Pillow":
        read = with_pillow(config, size)
    else:
        loads = {"jpg": load_jpeg, "png": load_png, "dcm": load_dicom}
        read = with_opencv(config, size, loads[next(folder.glob("0.*")).suffix[1:]])
    studies = Studies(folder, read, length, space)
    return DataLoader(studies, batch, shuffle=True, num_workers=workers, drop_last=True, worker_init_fn=_one_thread)


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
