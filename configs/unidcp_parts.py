"""What the UniDCP configs share: sizes, the ladder of prompts, and a run around data and tasks.

Sizes: "base" has PTUnifier's widths, depths, pool and prompt lengths; "tiny" trains on two CPU cores. Rungs A0 to A7 add one
ingredient each (docs/systems/unidcp.md).
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from unimedvlp.errors import UserError

TINY = {
    "image_size": 80,
    "model": {
        "width": 128, "heads": 4, "mlp": 384, "image_depth": 1, "text_depth": 1, "fusion_depth": 2, "decoder_depth": 2,
        "restore_depth": 1, "restore_width": 64, "restore_heads": 2, "max_text": 160, "max_response": 176, "dropout": 0.0,
        "stem": "residual", "per_image": True, "dtype": "float32",
    },
    "prompts": {"slots": 64, "image_prompts": 8, "text_prompts": 8, "key_width": 32},
    "optimizer": {"learning_rate": 1e-3, "warmup": 50, "weight_decay": 0.05},
}  # fmt: skip
BASE = {
    "image_size": 224,
    "model": {
        "width": 768, "heads": 12, "mlp": 3072, "image_depth": 12, "text_depth": 12, "fusion_depth": 6, "decoder_depth": 12,
        "restore_depth": 4, "restore_width": 384, "restore_heads": 6, "max_text": 256, "max_response": 288, "dropout": 0.1,
        "stem": "patch", "dtype": "bfloat16", "remat": "dots",
    },
    "prompts": {"slots": 2048, "image_prompts": 49, "text_prompts": 32, "key_width": 256},
    "optimizer": {"learning_rate": 1e-4, "warmup": 1000, "weight_decay": 0.01, "schedule": "linear", "b2": 0.98},
}  # fmt: skip
SIZES = {"tiny": TINY, "base": BASE}
TERMS = {"mlm": 1.0, "umlm": 0.5, "mim": 1.0, "umim": 0.5, "itm": 0.5, "itc": 0.1}  # dossier of the reconstruction
PROMPT_TERMS = {"share": 0.1, "pull": 0.1, "balance": 0.1}
TAUGHT = {"tokens": 1.0, "choices": 1.0}
RUNGS = {
    "A0": ({"kind": "none", "refine": False}, ()),  # a missing modality is its class token alone
    "A1": ({"kind": "static", "refine": False}, ()),  # one learnt set a modality
    "A2": ({"kind": "raw", "refine": False}, ()),  # a random pool that never learns: PTUnifier as released
    "A3": ({"kind": "raw", "refine": False}, ()),  # the same, learning
    "A4": ({"kind": "shared", "refine": False}, ()),  # shared keys and soft weights
    "A5": ({"kind": "shared", "refine": False}, ("share",)),
    "A6": ({"kind": "shared", "refine": False}, ("share", "pull", "balance")),
    "A7": ({"kind": "shared", "refine": True}, ("share", "pull", "balance")),
}


def run(
    size: str,
    train: Mapping[str, Any],
    evals: Mapping[str, Any],
    weights: Mapping[str, float],
    *,
    best: str,
    rung: str = "A7",
    steps: int = 600,
    batch: int = 32,
    views: int = 2,
    text: int = 96,
    prompt: int = 8,
    response: int = 96,
    learning_rate: float = 0.0,
    resize: str = "squash",
) -> ConfigDict:
    """A whole run of one size on one rung; `train` and `evals` are the entries of `data.train` and `evals`; lengths in tokens.

    Terms of the prompts count only in pre-training, that is beside the weight of `itc`. `learning_rate` 0: the size's own.
    """
    if size not in SIZES or rung not in RUNGS:
        raise UserError(
            f"UniDCP config: size {size!r} and rung {rung!r}; use one of {', '.join(SIZES)} and {', '.join(RUNGS)}"
        )
    sizes, (kind, terms) = SIZES[size], RUNGS[rung]
    prompt_terms = {name: PROMPT_TERMS[name] if name in terms and "itc" in weights else 0.0 for name in PROMPT_TERMS}
    everything = dict.fromkeys((*TERMS, *TAUGHT), 0.0) | dict(weights) | prompt_terms
    optimizer = sizes["optimizer"] | {"clip": 1.0, "multipliers": (("pool/.*", 0.0),) if rung == "A2" else ()}
    optimizer["warmup"] = min(optimizer["warmup"], steps // 10)
    optimizer["learning_rate"] = learning_rate or optimizer["learning_rate"]
    return ConfigDict(
        {
            "seed": 0,
            "steps": steps,
            "batch": batch,
            "accumulate": 1,
            "ema": 0.99,
            "mesh": {"data": -1},
            "start_from": "",
            "tokenizer": {"folder": "", "size": 1500 if size == "tiny" else 8000, "lowercase": True},
            "data": {
                "spec": {
                    "image_size": sizes["image_size"],
                    "views": views,
                    "channels": 1,
                    "text_length": text,
                    "prompt_length": prompt,
                    "response_length": response,
                    "resize": resize,
                },
                "augment": {"crop": 0.85, "rotate": 5.0, "brightness": 0.1, "contrast": 0.1},
                "threads": 2,
                "temperature": 1.0,
                "train": train,
            },
            "system": {
                "name": "unidcp",
                "model": {"patch": 16} | sizes["model"],
                "prompts": sizes["prompts"] | kind | {"temperature": 0.1},
                "weights": everything,
                "hide_words": 0.15,
                "hide_patches": 0.75,
                "corruption": 0.1,
                "block": 32
                if size == "base" and not batch % 32
                else 0,  # hard negatives within 32 studies, a device's share
            },
            "optimizer": optimizer,
            "evals": evals,
            "evaluate_every": max(steps // 4, 1),
            "best": best,
            "save_every": max(steps // 4, 1),
            "keep": 2,
            "log_every": 20,
            "on_nonfinite": "stop",
        }
    )


def finetune(
    size: str, path: str, task: Mapping[str, Any], best: str, *, limit: int = 256, pack: int = 1, **options: Any
) -> ConfigDict:
    """One task on one data set: `task` with its name, `path` of the prepared protocol, `best` the metric to keep weights by.

    Give the pre-trained weights with `--set start_from=WORKDIR`; without them the run begins from scratch.
    """
    name, details = task["name"], {key: value for key, value in task.items() if key != "name"}
    train = {name: {"path": path, "split": "train", "tasks": {name: details}, "weight": 1.0, "pack": pack}}
    evals = {name: evaluated(path, name, details, limit)}
    learning_rate = options.pop("learning_rate", 5e-4 if size == "tiny" else 2e-5)
    weights = {"itm": 0.5, "itc": 1.0} if name == "retrieve" else TAUGHT
    return run(size, train, evals, weights, best=f"{name}/{best}", learning_rate=learning_rate, **options)


def evaluated(path: str, name: str, details: Mapping[str, Any], limit: int = 256) -> dict[str, Any]:
    """An entry of `evals` on the validation split."""
    task = {"name": name, **details}
    entry = {"path": path, "split": "validation", "task": task, "batch": 32, "limit": limit}
    return entry | ({"method": {"name": "beam", "size": 3}} if name == "report" else {})
