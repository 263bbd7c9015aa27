"""What a checkpoint costs: how long saving blocks the training, and restoring against reading the same bytes.

    python -m benchmarks.checkpoint --workdir /tmp/checkpoint_cost

A state of 1 GiB (parameters, two moments of Adam, average) of random numbers, in arrays of the sizes of ViT-B/16. Files are
dropped from the page cache before each reading; both ways of reading alternate. The interval between saves is ten minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint

from unimedvlp.training.checkpoints import Checkpoints
from unimedvlp.training.state import TrainState

WIDTH, INTERVAL_S = 768, 600
KERNELS = {"qkv": (12, WIDTH, 3 * WIDTH), "out": (12, WIDTH, WIDTH), "up": (12, WIDTH, 4 * WIDTH)}


def make_state(gib: float) -> TrainState:
    """A state of so many GiB, float32, in four equal trees."""
    rng, share = np.random.default_rng(0), gib * 2**30 / 4
    sizes = KERNELS | {"table": (int(share / 4 - sum(map(np.prod, KERNELS.values()))) // WIDTH, WIDTH)}

    def tree() -> dict[str, jax.Array]:
        return {name: jnp.asarray(rng.standard_normal(shape, np.float32)) for name, shape in sizes.items()}

    zero = jnp.zeros((), jnp.int32)
    key = jax.random.key_data(jax.random.key(0))
    return TrainState(step=zero, skipped=zero, params=tree(), opt_state=(tree(), tree()), ema=tree(), rng=key)


def files(folder: Path) -> list[Path]:
    """All files under a folder, dropped from the page cache."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    for path in found:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    return found


def seconds(run: Callable[[], object]) -> float:
    """How long it took."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def main() -> None:
    """Prints seconds of blocking, of writing, of reading and of restoring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    state = make_state(options.gib)
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
    print(
        f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}, orbax {orbax.checkpoint.__version__}"
    )
    times: dict[str, list[float]] = {"save blocks": [], "save is on disk": [], "read the bytes": [], "restore": []}
    with Checkpoints(options.workdir, keep=1) as checkpoints:
        for step in range(1, options.repeats + 1):
            begun = time.perf_counter()
            times["save blocks"].append(seconds(lambda at=step: checkpoints.save(at, state)))
            checkpoints.wait()
            times["save is on disk"].append(time.perf_counter() - begun)
            folder = options.workdir / "checkpoints" / str(step)
            found = files(folder)
            size = sum(path.stat().st_size for path in found)
            times["read the bytes"].append(seconds(lambda paths=found: [len(path.read_bytes()) for path in paths]))
            files(folder)
            begun = time.perf_counter()
            restored = jax.block_until_ready(checkpoints.restore(abstract))
            times["restore"].append(time.perf_counter() - begun)
            assert np.array_equal(restored.params["table"], state.params["table"])
    medians = {name: statistics.median(each) for name, each in times.items()}
    print(f"state {options.gib:.2f} GiB, {size / 2**30:.2f} GiB in {len(found)} files; medians of {options.repeats}")
    for name, median in medians.items():
        print(f"{name:16}{median:8.2f} s")
    print(f"blocking is {medians['save blocks'] / INTERVAL_S:.2%} of ten minutes; ", end="")
    print(f"restoring takes {medians['restore'] / medians['read the bytes']:.2f} x as long as reading")
    shutil.rmtree(options.workdir)


if __name__ == "__main__":
    main()
