"""The baseline system from scratch on IU X-Ray: reports of two views, helped by the MeSH labels of the same images.

unimedvlp prepare iu_xray --source IU_XRAY --protocol r2gen --out data
unimedvlp train --config configs/finetune/baseline_iu_xray.py --data data --workdir runs/iu_xray
unimedvlp evaluate --workdir runs/iu_xray --data data
"""

from ml_collections import ConfigDict

PATH = "iu_xray/r2gen/1.0.0"
PLAN = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "fracture", "lung lesion", "lung opacity", "pleural effusion",
    "pneumonia", "pneumothorax", "support devices",
)  # fmt: skip


def get_config() -> ConfigDict:
    """Measured time and scores are in docs/results.md."""
    report = {"clean": "r2gen", "plan": PLAN}
    return ConfigDict(
        {
            "seed": 0,
            "steps": 2800,
            "batch": 16,
            "accumulate": 1,
            "ema": 0.995,
            "mesh": {"data": -1},
            "tokenizer": {"folder": "", "size": 1500, "lowercase": True},
            "data": {
                "spec": {
                    "image_size": 80,
                    "views": 2,
                    "channels": 1,
                    "text_length": 1,
                    "prompt_length": 4,
                    "response_length": 156,
                },
                "augment": {"crop": 0.7, "rotate": 8.0, "brightness": 0.15, "contrast": 0.15},
                "threads": 2,
                "temperature": 1.0,
                "train": {
                    "study": {
                        "path": PATH,
                        "split": "train",
                        "tasks": {"report": report, "findings": {}},
                        "weight": 1.0,
                        "pack": 12,
                    },
                },
            },
            "system": {
                "name": "baseline",
                "blind": 0.5,
                "words": 0.1,
                "classes": 6.0,
                "model": {
                    "patch": 16,
                    "stem": "residual",
                    "per_image": True,
                    "width": 192,
                    "heads": 6,
                    "mlp": 768,
                    "image_depth": 1,
                    "text_depth": 1,
                    "fusion_depth": 1,
                    "decoder_depth": 2,
                    "max_text": 8,
                    "max_response": 176,
                    "dropout": 0.1,
                    "dtype": "float32",
                },
            },
            "optimizer": {"learning_rate": 1.5e-3, "warmup": 200, "weight_decay": 0.05, "clip": 1.0},
            "evals": {
                "report": {
                    "path": PATH,
                    "split": "validation",
                    "task": {"name": "report", **report},
                    "batch": 64,
                    "limit": 296,
                    "length": 72,
                    "method": {"name": "beam", "size": 3},
                },
                "findings": {
                    "path": PATH,
                    "split": "validation",
                    "task": {"name": "findings"},
                    "batch": 64,
                    "limit": 1200,
                },
            },
            "evaluate_every": 1400,
            "best": "findings/auroc_macro",
            "save_every": 700,
            "keep": 2,
            "log_every": 50,
            "on_nonfinite": "stop",
        }
    )
