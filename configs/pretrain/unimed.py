"""UniMed in one stage on annotations of all levels together: boxes of blood cells, boxes and masks of lungs, masks of retinal vessels,
labels of chest radiographs, and chest radiographs without any label.

unimedvlp prepare bccd --source BCCD --protocol official --out data
unimedvlp prepare covid_cxr --source COVID --out data
unimedvlp prepare chase_db1 --source CHASEDB1 --out data
unimedvlp prepare nih --source NIH --protocol by-patient --out data
unimedvlp prepare iu_xray --source IU_XRAY --protocol r2gen --out data
unimedvlp train --config configs/pretrain/unimed.py:tiny --data data --workdir runs/unimed
unimedvlp evaluate --workdir runs/unimed --data data

`:synthetic` is the tiny model on the synthetic set alone (unimedvlp prepare synthetic --out data): a quick check. `:tiny-without-labels`
leaves a part of the mixture out, to be transferred to (benchmarks/unimed_transfer.py). Parts of the model are left out by
single values: system.model.composed=False, system.model.decomposed=False, system.unsupervised=none (benchmarks/unimed_ablation.py).
"""

from ml_collections import ConfigDict

from unimedvlp.errors import UserError

CELLS, LUNGS, VESSELS = "bccd/official/1.0.0", "covid_cxr/by-patient/1.0.0", "chase_db1/by-patient/1.0.0"
LABELS, UNLABELLED, SYNTHETIC = "nih/by-patient/1.0.0", "iu_xray/r2gen/1.0.0", "synthetic/by-patient/1.0.0"
FINDINGS = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "emphysema", "fibrosis", "hernia", "infiltration", "mass",
    "no finding", "nodule", "pleural effusion", "pleural thickening", "pneumonia", "pneumothorax",
)  # fmt: skip
PHANTOM_FINDINGS = ("cardiomegaly", "consolidation", "lung lesion", "pleural effusion", "pneumothorax")
PHANTOM_PARTS = ("left lung", "right lung", "heart")
BOTH = ("decomposed", "composed")
LEADS = {"cells": "ap50", "lungs": "dice", "vessels": "dice", "lesions": "ap50", "labels": "auroc_macro"}  # of `evals`


def get_config(size: str = "tiny") -> ConfigDict:
    """`size`: "tiny" (2 CPU cores), "base" (the dossier's sizes, for accelerators) or "synthetic"; behind "-without-" an entry of
    the mixture that is left out."""
    size, _, without = size.partition("-without-")
    if size not in ("tiny", "base", "synthetic"):
        raise UserError(f"configs/pretrain/unimed.py: size {size!r} is unknown; use tiny, base or synthetic")
    tiny = size != "base"
    synthetic = size == "synthetic"
    labels = PHANTOM_FINDINGS if synthetic else FINDINGS
    config = {
        "seed": 0,
        "steps": {"tiny": 1600, "base": 50_000, "synthetic": 400}[size],
        "batch": {"tiny": 8, "base": 64, "synthetic": 8}[size],
        "accumulate": 1,
        "ema": 0.998 if tiny else 0.9998,
        "mesh": {"data": -1},
        "tokenizer": {"folder": "", "size": 400 if tiny else 4000, "lowercase": True},
        "data": {
            "spec": {
                "image_size": 512 if not tiny else 128 if synthetic else 160,
                "views": 1,
                "channels": 3,
                "text_length": 1,
                "prompt_length": 8,
                "response_length": 144,
                "resize": "squash",
                "objects": 28,
                "mask_size": 64 if tiny else 256,
                "labels": labels,
            },
            # No rotation: the upright box around a turned one is a tenth too wide for round objects, and found boxes become so.
            "augment": {"crop": 0.7, "flip": 0.5, "brightness": 0.15, "contrast": 0.15},
            "threads": 2,
            "temperature": 1.0,
            "train": phantoms() if synthetic else mixture(),
        },
        "system": {
            "name": "unimed",
            "labels": labels,
            "unsupervised": "masked_image",
            "supervised": True,
            "points": 512 if tiny else 12544,
            "copies": 2 if tiny else 4,
            "weights": {"masked_image": 1.0, "projection": 1.0, "tokens": 1.0},
            "model": model(tiny),
        },
        "optimizer": {
            "learning_rate": 1e-3 if tiny else 1e-4,
            "warmup": 50 if synthetic else 100 if tiny else 1000,
            "weight_decay": 0.05,
            "clip": 1.0,
        },
        "evals": phantom_evals() if synthetic else evals(),
        "evaluate_every": {"tiny": 800, "base": 5000, "synthetic": 0}[size],
        "save_every": 0 if synthetic else 200 if tiny else 500,
        "keep": 1,
        "log_every": 50,
        "on_nonfinite": "stop",
    }
    if without and without not in config["data"]["train"]:
        raise UserError(f"configs/pretrain/unimed.py: no entry {without!r} in {', '.join(config['data']['train'])}")
    config["data"]["train"].pop(without, None)
    config["evals"].pop(without, None)
    first = next(iter(config["evals"]))
    config["best"] = f"{first}/{LEADS[first]}"
    return ConfigDict(config)


def alone(config: ConfigDict, name: str) -> None:
    """Leave one data set of the mixture, with its evaluation; only "labels" asks for labels of the whole image."""
    config.data.train = {name: config.data.train[name]}
    config.evals = {name: config.evals[name]}
    config.best = f"{name}/{LEADS[name]}"
    if name != "labels":
        config.system.labels = config.data.spec.labels = ()


def model(tiny: bool) -> dict:
    """Fields of `Coupled`: 3 M parameters, or Swin-T with decoders of X-Decoder's sizes."""
    if tiny:
        return {
            "backbone": {"name": "conv", "widths": (64, 96, 160, 192), "depths": (1, 1, 1, 1)},
            "width": 96,
            "heads": 4,
            "mlp": 256,
            "pixel_depth": 1,
            "fine": True,
            "text_depth": 1,
            "decomposed_depth": 3,
            "composed_depth": 2,
            "queries": 60,
            "selected": True,
            "scale": 2.66,
            "memory": "both",
            "detach": False,
            "composed": True,
            "decomposed": True,
            "max_text": 32,
            "max_response": 160,
            "dtype": "float32",
        }
    return {
        "backbone": {"name": "swin", "width": 96, "depths": (2, 2, 6, 2), "heads": (3, 6, 12, 24), "window": 8, "drop_path": 0.3, "remat": "dots"},
        "width": 512,
        "heads": 8,
        "mlp": 2048,
        "pixel_depth": 6,
        "text_depth": 12,
        "decomposed_depth": 9,
        "composed_depth": 6,
        "queries": 100,
        "selected": True,
        "scale": 1.0,
        "memory": "both",
        "detach": False,
        "composed": True,
        "decomposed": True,
        "max_text": 77,
        "max_response": 160,
        "dropout": 0.1,
        "dtype": "bfloat16",
        "remat": "dots",
    }  # fmt: skip


def mixture() -> dict:
    """The real data sets; images of the last one are used without their labels.

    Of the lungs only images with masks are used: where just the boxes of left and right lung are marked, a query that finds
    a "lung" would be told that there is none.
    """
    entry = lambda path, weight, pack=1, **tasks: {  # noqa: E731
        "path": path, "split": "train", "tasks": tasks, "weight": weight, "pack": pack
    }  # fmt: skip
    return {
        "cells": entry(CELLS, 4.0, detect={"objects": 28}),
        "lungs": entry(LUNGS, 2.0, segment={"classes": ("lung",), "points": 32}),
        "vessels": entry(VESSELS, 1.0, segment={"classes": ("vessel",), "points": 64}),
        "labels": entry(LABELS, 1.0, 15, findings={}),
        "unlabelled": entry(UNLABELLED, 2.0, unlabelled={}),
    }


def evals() -> dict:
    """Every level on its validation split, by both decoders, the decomposed one leading."""
    entry = lambda path, name, limit=0, **task: {  # noqa: E731
        "path": path, "split": "validation", "task": {"name": name, **task}, "batch": 16, "limit": limit, "decoders": BOTH
    }  # fmt: skip
    return {
        "cells": entry(CELLS, "detect", objects=28),
        "lungs": entry(LUNGS, "segment", classes=("lung",), points=32),
        "vessels": entry(VESSELS, "segment", classes=("vessel",), points=64),
        "labels": entry(LABELS, "findings", 320),
    }


def phantoms() -> dict:
    """The synthetic set with its annotations, and once more without."""
    tasks = {
        "detect": {"objects": 4},
        "segment": {"classes": PHANTOM_PARTS, "points": 24},
        "findings": {"classes": PHANTOM_FINDINGS},
    }
    labelled = {"path": SYNTHETIC, "split": "train", "tasks": tasks, "weight": 3.0, "pack": 2}
    return {"labelled": labelled, "unlabelled": labelled | {"tasks": {"unlabelled": {}}, "weight": 1.0, "pack": 1}}


def phantom_evals() -> dict:
    """Segmentation of organs, detection and labels of findings on the synthetic set."""
    tasks = {
        "lungs": {"name": "segment", "classes": PHANTOM_PARTS, "points": 24},
        "lesions": {"name": "detect", "objects": 4},
        "labels": {"name": "findings", "classes": PHANTOM_FINDINGS},
    }
    shared = {"path": SYNTHETIC, "split": "validation", "batch": 16, "limit": 48, "decoders": BOTH}
    return {name: {**shared, "task": task} for name, task in tasks.items()}
