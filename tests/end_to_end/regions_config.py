"""The quickstart's run on boxes, masks and phrases instead of texts, small enough for a test."""

from unimedvlp import config as configs

PATH = "synthetic/by-patient/1.0.0"
TASKS = {
    "detect": {"objects": 4},
    "segment": {"points": 12},
    "refer": {"classes": ("heart",), "masks": True, "points": 12},
}


def get_config():
    """Six steps of a tiny model."""
    config = configs.load("configs/pretrain/baseline_synthetic.py")
    with config.unlocked():
        config.data.train = {"study": {"path": PATH, "split": "train", "tasks": TASKS, "pack": 1}}
        config.evals = {
            name: {"path": PATH, "split": "validation", "task": {"name": name, **task}, "batch": 8, "limit": 8}
            for name, task in TASKS.items()
            if name != "refer"
        }
        config.data.spec.update({"objects": 6, "mask_size": 16, "labels": ["pleural effusion"]})
        config.best = "detect/ap50"
    return config
