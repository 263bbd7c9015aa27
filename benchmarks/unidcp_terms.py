"""What UniDCP's pre-training has learnt, term by term: a trained working directory on validation, beside untrained weights.

python -m benchmarks.unidcp_terms --workdir runs/unidcp --data data

The last column is what knows nothing of the study reaches: for words the entropy of single tokens, counted on the training split;
for patches 1, the variance of a normalised patch; for matching the entropy of one pair in three; for the contrasts (`itc`, `share`)
equal scores. Accuracies have the share of the commonest token, two pairs of three, and one in a batch.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from flax.core import meta

from launch.assemble import Run, placed, train_entries
from launch.main import run as command
from unimedvlp.systems.base import Batch, Metrics, System
from unimedvlp.tokens.vocabulary import TEXT_START


def main(argv: list[str]) -> int:
    """Print a table of the terms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="a pre-training of configs/pretrain/unidcp.py")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--batches", type=int, default=16, help="how many batches to average over")
    options = parser.parse_args(argv)
    parts = Run.load(options.workdir, options.data)
    ids = texts(parts)
    for entry in parts.config.data.train.values():
        entry.split = "validation"
    parts.config.data.augment = {}
    stream = parts.train_batches()
    batches = [stream(step) for step in range(options.batches)]
    stream.close()
    fresh = meta.unbox(jax.jit(parts.system.init)(jax.random.key(parts.config.seed), batches[0]))
    trained = placed(parts, parts.params("newest"))
    known = without_looking(ids, parts.config.batch)
    start, end = (measured(parts.system, params, batches) for params in (fresh, trained))
    print("| | untrained | trained | without looking |\n| --- | ---: | ---: | ---: |")
    for name in sorted(end):
        if name.startswith("loss/") or name.endswith("accuracy") or name in ("prompt_agreement", "prompt_usage"):
            beside = f"{known[name]:.3f}" if name in known else ""
            print(f"| {name.removeprefix('loss/')} | {start[name]:.3f} | {end[name]:.3f} | {beside} |")
    return 0


def texts(parts: Run) -> np.ndarray:
    """All text tokens of the training split `[M]` that can be hidden, each text as far as it is read."""
    return np.fromiter((i for entry in _ids(parts) for i in entry if i >= TEXT_START), int)


def _ids(parts: Run) -> Iterator[list[int]]:
    for entry in train_entries(parts.config, parts.data):
        for record in entry.source:
            for task in entry.tasks:
                if task.serves(record):
                    context = task.sequence(record, task.units(record)[0], parts.space).context
                    yield list(context[: parts.spec.text_length])


def without_looking(ids: np.ndarray, batch: int) -> dict[str, float]:
    """{name: value} of a guess that knows the frequencies only; `ids` are those of the training texts."""
    shares = np.unique(ids, return_counts=True)[1] / len(ids)
    entropy, third = float(-(shares * np.log(shares)).sum()), np.array([1 / 3, 2 / 3])
    found = {"loss/mlm": entropy, "loss/umlm": entropy, "loss/mim": 1.0, "loss/umim": 1.0}
    found |= dict.fromkeys(("loss/itc", "loss/share"), np.log(batch))
    found |= {"mlm_accuracy": shares.max(), "umlm_accuracy": shares.max(), "contrast_accuracy": 1 / batch}
    return found | {"loss/itm": float(-(third * np.log(third)).sum()), "matching_accuracy": 2 / 3}


def measured(system: System, params: dict, batches: list[Batch]) -> Metrics:
    """The metrics of `system.loss`, without dropout, averaged over batches."""
    step = jax.jit(lambda params, batch, rng: system.loss(params, batch, rng, train=False)[1])
    rows = [step(params, batch, jax.random.key(number)) for number, batch in enumerate(batches)]
    names = [name for name, value in rows[0].items() if name != "statistics" and np.ndim(value) == 0]
    return {name: float(np.mean([row[name] for row in rows])) for name in names}


if __name__ == "__main__":
    sys.exit(command(main))
