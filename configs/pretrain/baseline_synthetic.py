"""The baseline system on all tasks of the synthetic set: the run of `unimedvlp quickstart`.

unimedvlp prepare synthetic --out data
unimedvlp train --config configs/pretrain/baseline_synthetic.py --data data --workdir runs/synthetic
"""

from ml_collections import ConfigDict

PATH = "synthetic/by-patient/1.0.0"
TASKS = {
    "report": {"clean": "r2gen"},
    "findings": {},
    "answer": {},
    "classify": {"field": "modality", "classes": ("xray", "ct", "fundus")},
}
SUMMARISE = {"summarise": {}}


def get_config() -> ConfigDict:
    """Measured time and scores are in docs/results.md."""
    everything = TASKS | SUMMARISE
    return ConfigDict(
        {
            "seed": 0,
            "steps": 500,
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
                    "prompt_length": 24,
                    "response_length": 128,
                },
                "augment": {},
                "threads": 2,
                "temperature": 1.0,
                "train": {
                    "study": {"path": PATH, "split": "train", "tasks": TASKS, "weight": 4.0, "pack": 5},
                    "text": {"path": PATH, "split": "train", "tasks": SUMMARISE, "weight": 1.0},
                },
            },
            "system": {
                "name": "baseline",
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
                    "max_response": 152,
                    "dropout": 0.0,
                    "dtype": "float32",
                },
            },
            "optimizer": {"learning_rate": 1e-3, "warmup": 50, "weight_decay": 0.05, "clip": 1.0},
            "evals": {
                name: {"path": PATH, "split": "validation", "task": {"name": name, **task}, "batch": 32, "limit": 64}
                for name, task in everything.items()
            },
            "evaluate_every": 0,
            "best": "report/cider",
            "save_every": 125,
            "keep": 2,
            "log_every": 20,
            "on_nonfinite": "stop",
        }
    )
