"""The baseline system on all tasks of the synthetic set: the run of `unimedvlp quickstart`.

unimedvlp prepare synthetic --out data
unimedvlp train --config configs/pretrain/baseline_synthetic.py --data data --workdir runs/synthetic
"""

from ml_collections import ConfigDict

PATH = "synthetic/by-patient/1.0.0"
FINDINGS = {"name": "findings"}
MODALITIES = {"name": "classify", "field": "modality", "classes": ("xray", "ct", "fundus")}


def get_config() -> ConfigDict:
    """About 3 minutes on 2 cores."""
    tasks = {
        "report": ({"name": "report", "clean": "r2gen"}, 3.0),
        "findings": (FINDINGS, 3.0),
        "answer": ({"name": "answer"}, 2.0),
        "summarise": ({"name": "summarise"}, 1.0),
        "classify": (MODALITIES, 0.5),
    }
    return ConfigDict(
        {
            "seed": 0,
            "steps": 1000,
            "batch": 32,
            "accumulate": 1,
            "ema": 0.99,
            "mesh": {"data": -1},
            "tokenizer": {"folder": "", "size": 1500, "lowercase": True},
            "data": {
                "spec": {
                    "image_size": 128,
                    "views": 2,
                    "channels": 1,
                    "text_length": 64,
                    "prompt_length": 4,
                    "response_length": 72,
                },
                "augment": {},
                "threads": 2,
                "temperature": 1.0,
                "train": {
                    name: {"path": PATH, "split": "train", "task": task, "weight": weight}
                    for name, (task, weight) in tasks.items()
                },
            },
            "system": {
                "name": "baseline",
                "per": "example",
                "model": {
                    "patch": 16,
                    "stem": "conv",
                    "width": 128,
                    "heads": 4,
                    "mlp": 384,
                    "image_depth": 3,
                    "text_depth": 1,
                    "fusion_depth": 1,
                    "decoder_depth": 2,
                    "max_text": 64,
                    "max_response": 80,
                    "dropout": 0.0,
                    "dtype": "float32",
                },
            },
            "optimizer": {"learning_rate": 1e-3, "warmup": 50, "weight_decay": 0.05, "clip": 1.0},
            "evals": {
                name: {"path": PATH, "split": "validation", "task": task, "batch": 32, "limit": 64}
                for name, (task, _) in tasks.items()
            },
            "evaluate_every": 0,
            "best": "report/cider",
            "save_every": 250,
            "keep": 2,
            "log_every": 20,
            "on_nonfinite": "stop",
        }
    )
