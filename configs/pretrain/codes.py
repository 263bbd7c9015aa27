"""Pictures as codes: two short runs, one that learns image codes and one that learns mask codes.

unimedvlp train --config configs/pretrain/codes.py:images --data data --workdir runs/image_codes
unimedvlp train --config configs/pretrain/codes.py:masks --data data --workdir runs/mask_codes
unimedvlp codes --images runs/image_codes --masks runs/mask_codes --data data --split test --page runs/codes.html
"""

from ml_collections import ConfigDict

IMAGES = ("iu_xray/r2gen/1.0.0", "covid_cxr/by-patient/1.0.0")
MASKS = ("covid_cxr/by-patient/1.0.0", "chase_db1/by-patient/1.0.0", "synthetic/by-patient/1.0.0")


def get_config(of: str = "images") -> ConfigDict:
    """`of` is "images" or "masks". Measured times and scores are in docs/results.md."""
    size, paths = 64, {"images": IMAGES, "masks": MASKS}[of]
    masks = {"objects": 4, "mask_size": size} if of == "masks" else {}
    augment = {"crop": 0.5, "rotate": 15.0, "flip": 0.5} if of == "masks" else {"crop": 0.7, "contrast": 0.2}
    return ConfigDict(
        {
            "seed": 0,
            "steps": 400 if of == "images" else 300,
            "batch": 16,
            "accumulate": 1,
            "ema": 0.99,
            "mesh": {"data": -1},
            "tokenizer": {"folder": "", "size": 300, "lowercase": True},
            "data": {
                "spec": {
                    "image_size": size,
                    "views": 2 if of == "images" else 1,
                    "channels": 1,
                    "text_length": 1,
                    "prompt_length": 3,
                    "response_length": 1,
                    **masks,
                },
                "augment": augment,
                "threads": 2,
                "temperature": 1.0,
                "train": {
                    path.split("/")[0]: {"path": path, "split": "train", "tasks": {"reconstruct": {"pictures": of}}}
                    for path in paths
                },
            },
            "system": {
                "name": "codes",
                "of": of,
                "model": {"stride": 8, "width": 32, "blocks": 2, "channels": 1, "dtype": "float32"},
            },
            "optimizer": {"learning_rate": 2e-3, "warmup": 50, "weight_decay": 0.0, "clip": 1.0},
            "evals": {},
            "evaluate_every": 0,
            "best": "",
            "save_every": 200,
            "keep": 2,
            "log_every": 50,
            "on_nonfinite": "stop",
        }
    )
