"""UniMed on 100 labelled images of a data set that it was not trained on: weights from a pre-trained run but those of the decomposed
decoder, then a short fine-tuning.

unimedvlp train --config configs/pretrain/unimed.py:tiny-without-cells --data data --workdir runs/unimed_no_cells
unimedvlp train --config configs/finetune/unimed_100shot.py:cells --data data --workdir runs/cells_0 --set seed=0 \
  start_from=runs/unimed_no_cells

The seed draws the images, balanced over classes. Five seeds, zero-shot and training from scratch: benchmarks/unimed_transfer.py.
"""

from ml_collections import ConfigDict

from configs.pretrain import unimed
from unimedvlp.errors import UserError

SHOTS = 100


def get_config(entry: str = "cells") -> ConfigDict:
    """`entry` of the mixture of configs/pretrain/unimed.py:tiny; "synthetic" is the synthetic set."""
    synthetic = entry == "synthetic"
    config = unimed.get_config("synthetic" if synthetic else "tiny")
    name = "labelled" if synthetic else entry
    if name not in config.data.train or name == "unlabelled":
        raise UserError(
            f"configs/finetune/unimed_100shot.py: no data set {entry!r}; use {', '.join(unimed.LEADS)} or synthetic"
        )
    if synthetic:
        config.data.train = {name: config.data.train[name]}
        config.best = f"lesions/{unimed.LEADS['lesions']}"
    else:
        unimed.alone(config, name)
    config.data.train[name].shots = SHOTS
    config.system.unsupervised = "none"
    config.update({"steps": 100 if synthetic else 500, "start_from": "", "evaluate_every": 0, "save_every": 0})
    config.start_without = ("objects/.*",)  # queries that learned to find one lung are slow to find thirty cells
    config.optimizer.warmup = 20  # the rate stays that of pre-training, with and without its weights
    return config
