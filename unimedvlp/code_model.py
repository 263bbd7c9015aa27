"""A trained `codes` system, ready for use: pictures of any number to codes and back, a batch at a time."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from unimedvlp import config as configs
from unimedvlp.errors import UserError
from unimedvlp.systems import codes
from unimedvlp.training.checkpoints import load_params

BATCH = 64


@dataclasses.dataclass(frozen=True, eq=False)
class CodeModel:
    """A system with its parameters; its pictures have S = `size` pixels a side, and `resize` says how they came to it."""

    system: codes.Codes
    params: Any
    size: int
    resize: str

    def __post_init__(self):
        object.__setattr__(self, "_encode", jax.jit(self.system.encode))
        object.__setattr__(self, "_decode", jax.jit(self.system.decode, static_argnums=2))

    @classmethod
    def load(cls, workdir: Path | str, of: str, which: str = "newest") -> "CodeModel":
        """The model of a working directory. UserError unless it was trained for `of`, "images" or "masks"."""
        config = configs.reload(workdir)
        options = dict(config.system)
        if options.pop("name") != "codes" or options.get("of") != of:
            raise UserError(f"{workdir} holds no codes of {of}; train one with configs/pretrain/codes.py:{of}")
        spec = config.data.spec
        size = spec.image_size if of == "images" else spec.mask_size
        system = codes.from_config(options, None, spec.image_size, spec.views)
        return cls(system, load_params(workdir, which), size, spec.get("resize", "squash"))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a picture's codes."""
        side = self.size // self.system.model.stride
        return side, side

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Codes int32 `[N, n]` of pictures uint8 `[N, S, S, C]`; of masks, non-zero is inside."""
        found = [np.asarray(self._encode(self.params, batch))[:real] for batch, real in _batches(pictures)]
        return np.concatenate(found) if found else np.zeros((0, self.grid[0] * self.grid[1]), np.int32)

    def decode(self, found: np.ndarray) -> np.ndarray:
        """Images uint8 `[N, S, S, C]`, or probabilities of masks float32, of codes `[N, n]`."""
        parts = [np.asarray(self._decode(self.params, batch, self.grid))[:real] for batch, real in _batches(found)]
        return np.concatenate(parts)


def _batches(rows: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Rows in batches of one size, the last filled up with zeros, and how many of each are real."""
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        padding = np.zeros((BATCH - len(part), *rows.shape[1:]), rows.dtype)
        yield np.concatenate([part, padding]), len(part)
