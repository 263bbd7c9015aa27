"""How much of a batch is padding, with and without packing the sequences of a study into one row.

    python -m benchmarks.packing --data PREPARED [--config configs/finetune/baseline_iu_xray.py]

Takes the training mixture of a config as it is, and counts what the same sequences would fill with one row each.
"""

import argparse
from pathlib import Path

import numpy as np

from data_pipelines import input as inputs
from data_pipelines.batch import BatchSpec
from launch.assemble import make_space, train_entries
from unimedvlp import config as configs

STEPS = 64


def main() -> None:
    """Prints rows, positions and padding of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", default="configs/finetune/baseline_iu_xray.py")
    args = parser.parse_args()
    config = configs.load(args.config)
    spec = configs.build(BatchSpec, config.data.spec, "data.spec")
    entries = train_entries(config, args.data)
    batches = inputs.train_batches(entries, make_space(entries, config.tokenizer), spec, batch_size=config.batch)
    real = sequences = rows = 0
    for step in range(STEPS):
        segment = batches(step)["segment"]
        real += np.count_nonzero(segment)
        sequences += int(segment.max(axis=1).sum())
        rows += len(segment)
    batches.close()
    width = spec.prompt_length + spec.response_length
    print(
        f"{args.config}: {STEPS} batches of {config.batch}, rows of {width} positions, {real / sequences:.1f} tokens a sequence"
    )
    print(f"{'':24}{'rows':>8}{'positions':>12}{'padding':>10}{'images encoded':>16}")
    for name, count in (("one sequence a row", sequences), ("packed by study", rows)):
        print(f"{name:24}{count:8,}{count * width:12,}{1 - real / (count * width):10.1%}{count * spec.views:16,}")


if __name__ == "__main__":
    main()
