"""The baseline system at base size (ViT-B/16, BERT-base, a decoder of 6 layers) on MIMIC-CXR: what a pod trains, and `plan` plans.

Heads are 128 wide, as the matrix units of a TPU are; weights of 12 heads from elsewhere need `system.model.heads=12`.

unimedvlp plan --config configs/pretrain/baseline_base.py --topology v5e:16x16 --batch-per-chip 128
unimedvlp prepare mimic_cxr --source MIMIC_CXR --out data
unimedvlp train --config configs/pretrain/baseline_base.py --data data --workdir runs/baseline_base
"""

from ml_collections import ConfigDict

PATH = "mimic_cxr/official/1.0.0"


def get_config() -> ConfigDict:
    """Two microbatches a step; what other numbers cost on a TPU is in docs/scaling.md."""
    report = {"clean": "r2gen"}
    return ConfigDict(
        {
            "seed": 0,
            "steps": 50_000,
            "batch": 1024,
            "accumulate": 2,
            "ema": 0.0,
            "mesh": {"data": -1},
            "tokenizer": {"folder": "", "size": 30_000, "lowercase": True},
            "data": {
                "spec": {
                    "image_size": 224,
                    "views": 1,
                    "channels": 1,
                    "text_length": 128,
                    "prompt_length": 16,
                    "response_length": 112,
                },
                "augment": {"crop": 0.7, "rotate": 8.0, "brightness": 0.15, "contrast": 0.15},
                "threads": 16,
                "temperature": 1.0,
                "train": {
                    "study": {
                        "path": PATH,
                        "split": "train",
                        "tasks": {"report": report, "findings": {}},
                        "weight": 1.0,
                        "pack": 12,
                    },
                    "text": {"path": PATH, "split": "train", "tasks": {"summarise": {}}, "weight": 0.5},
                },
            },
            "system": {
                "name": "baseline",
                "model": {
                    "patch": 16,
                    "stem": "patch",
                    "width": 768,
                    "heads": 6,
                    "mlp": 3072,
                    "image_depth": 12,
                    "text_depth": 12,
                    "fusion_depth": 1,
                    "decoder_depth": 6,
                    "max_text": 128,
                    "max_response": 128,
                    "dropout": 0.0,
                    "dtype": "bfloat16",
                    "remat": "dots",
                },
            },
            "optimizer": {"learning_rate": 3e-4, "warmup": 2000, "weight_decay": 0.05, "clip": 1.0},
            "evals": {
                "report": {
                    "path": PATH,
                    "split": "validation",
                    "task": {"name": "report", **report},
                    "batch": 128,
                    "limit": 512,
                },
            },
            "evaluate_every": 5000,
            "best": "report/cider",
            "save_every": 1000,
            "keep": 2,
            "log_every": 50,
            "on_nonfinite": "skip",
        }
    )
