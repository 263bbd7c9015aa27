"""The small run of the end-to-end tests: the quickstart's config, shrunk."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/pretrain/baseline_synthetic.py")
SMALL = [
    "steps=6", "batch=8", "save_every=2", "log_every=2", "ema=0.5", "optimizer.warmup=2",
    "data.spec.image_size=32", "data.spec.text_length=24", "data.spec.response_length=48", "data.threads=1",
    "system.model.width=16", "system.model.heads=2", "system.model.mlp=32", "system.model.image_depth=1",
    "system.model.decoder_depth=1", "tokenizer.size=400",
]  # fmt: skip
