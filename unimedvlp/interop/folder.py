"""A model folder as Hugging Face lays it out: `config.json` and `model.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from unimedvlp.errors import UserError

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(folder: Path | str, config: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
    """Write both files; PyTorch's `from_pretrained(folder)` reads them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2) + "\n")
    save_file(dict(state), folder / WEIGHTS, metadata={"format": "pt"})


def load(folder: Path | str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(config, state dict). UserError where a file is missing or damaged, or where weights are split over several files."""
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            found = ", ".join(sorted(path.name for path in folder.glob("*"))[:6]) or "nothing"
            raise UserError(f"{folder}: no {name}; found {found}")
    try:
        return json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)
    except (json.JSONDecodeError, SafetensorError) as error:
        raise UserError(f"{folder}: damaged {CONFIG} or {WEIGHTS}: {error}") from None
