"""The baseline system from scratch on VQA-RAD; all questions of an image are asked in one row.

unimedvlp prepare vqa_rad --source VQA_RAD --protocol image-disjoint --out data
unimedvlp train --config configs/finetune/baseline_vqa_rad.py:image-disjoint --data data --workdir runs/vqa_rad
unimedvlp evaluate --workdir runs/vqa_rad --data data
"""

from ml_collections import ConfigDict


def get_config(protocol: str = "image-disjoint") -> ConfigDict:
    """`protocol`: "official" or "image-disjoint". Measured time and scores are in docs/results.md."""
    path = f"vqa_rad/{protocol}/1.0.0"
    return ConfigDict(
        {
            "seed": 0,
            "steps": 4000,
            "batch": 8,
            "accumulate": 1,
            "ema": 0.99,
            "mesh": {"data": -1},
            "tokenizer": {"folder": "", "size": 1200, "lowercase": True},
            "data": {
                "spec": {
                    "image_size": 80,
                    "views": 1,
                    "channels": 1,
                    "text_length": 1,
                    "prompt_length": 64,
                    "response_length": 96,
                    "resize": "letterbox",
                },
                "augment": {"crop": 0.85, "rotate": 8.0, "brightness": 0.15, "contrast": 0.15},
                "threads": 2,
                "temperature": 1.0,
                "train": {
                    "questions": {"path": path, "split": "train", "tasks": {"answer": {}}, "weight": 1.0, "pack": 6},
                },
            },
            "system": {
                "name": "baseline",
                "blind": 0.3,
                "words": 0.1,
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
                    "decoder_depth": 3,
                    "max_text": 8,
                    "max_response": 192,
                    "dropout": 0.1,
                    "dtype": "float32",
                },
            },
            "optimizer": {"learning_rate": 1e-3, "warmup": 100, "weight_decay": 0.1, "clip": 1.0},
            "evals": {
                "answer": {
                    "path": path,
                    "split": "validation",
                    "task": {"name": "answer"},
                    "batch": 32,
                    "limit": 0,
                    "length": 16,
                },
            },
            "evaluate_every": 500,
            "best": "answer/accuracy_all",
            "save_every": 500,
            "keep": 2,
            "log_every": 50,
            "on_nonfinite": "stop",
        }
    )
