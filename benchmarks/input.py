"""The input pipeline against a torch DataLoader that does the same work, and against the image decoder alone, in one run.

    python -m benchmarks.input [--workers 2] [--rounds 7] [--batches 4] [--formats JPEG] [--against decoder]

Drawn chest radiographs of 1024 pixels (grey, with grain, JPEG quality 95) and their reports: decode, resize to 224, random crop,
rotation, brightness and contrast, tokens of the report, batches of 64 in uint8. The other side is a Dataset as a torch user
writes it, with Pillow as torchvision calls it, and again with OpenCV; it decodes the files in full. `workers` are threads on our side,
processes on torch's. The decoder alone is a loop of `cv2.imdecode` over bytes in memory, on as many threads.

All sides take turns, a fresh iterator each time, timed from its start to its last batch; the median of the rounds is shown.
CPU time is that of all processes, by the images that were made in it, also those read ahead; it depends less than the clock
on what else the machine does.
"""

import argparse
import dataclasses
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import PIL
import torch

from benchmarks import input_torch
from benchmarks.input_data import FORMATS, Drawn, write_files
from data_pipelines import input as inputs
from data_pipelines.batch import BatchSpec
from data_pipelines.builder import folder_of, prepare
from data_pipelines.read import PreparedSplit
from data_pipelines.transforms import Augment
from unimedvlp import tasks
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace

BATCH, SIZE, LENGTH = 64, 224, 96
AUGMENT = Augment(crop=0.8, rotate=8.0, brightness=0.15, contrast=0.15)
REDUCED = cv2.IMREAD_REDUCED_GRAYSCALE_4  # what our side decodes: 256 pixels, the least above 224 / sqrt(0.8)


@dataclasses.dataclass
class Side:
    """`run` yields how many images each batch has; `made` counts all that were made so far, if some are read ahead."""

    run: Callable[[], Iterator[int]]
    made: Callable[[], int] | None = None


class Counted(PreparedSplit):
    """A split that counts the records read from it."""

    read = 0

    def __getitems__(self, indices):
        self.read += len(indices)
        return super().__getitems__(indices)


@dataclasses.dataclass
class Result:
    """Images per second of each round, and CPU milliseconds an image over all rounds."""

    rates: list[float] = dataclasses.field(default_factory=list)
    cpu: float = 0.0
    images: int = 0


def ours(folder: Path, workers: int) -> Side:
    """Batches of a prepared set by our pipeline."""
    source = Counted(folder, "train")
    task = tasks.build("report")
    space = TokenSpace.create([], text.train((record.findings for record in source), size=600))
    spec = BatchSpec(SIZE, 1, 3, 1, 4, LENGTH)
    entry = inputs.Entry(source, (task,), None, "drawn")

    def run() -> Iterator[int]:
        batches = inputs.train_batches([entry], space, spec, batch_size=BATCH, augment=AUGMENT, threads=workers)
        try:
            for step in range(10**9):
                yield len(batches(step)["image"])
        finally:
            batches.close()

    return Side(run, lambda: source.read)


def torchs(folder: Path, reader: str, workers: int, space: TokenSpace) -> Side:
    """The same batches by a DataLoader over files."""

    def run() -> Iterator[int]:
        for batch in input_torch.loader(folder, reader, AUGMENT, SIZE, LENGTH, BATCH, workers, space):
            yield len(batch["image"])

    return Side(run)


def decoder(files: list[bytes], flag: int, workers: int) -> Side:
    """Nothing but `cv2.imdecode`, on threads."""
    arrays = [np.frombuffer(data, np.uint8) for data in files]

    def run() -> Iterator[int]:
        with ThreadPoolExecutor(workers) as pool:
            while True:
                done = pool.map(lambda i: cv2.imdecode(arrays[i % len(arrays)], flag).shape, range(BATCH))
                yield len(list(done))

    return Side(run)


def measure(sides: dict[str, Side], rounds: int, batches: int) -> dict[str, Result]:
    """Every side in turn, `rounds` times."""
    results = {name: Result() for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            result, cpu, made = results[name], _cpu(), side.made() if side.made else 0
            start = time.perf_counter()
            running = side.run()
            images = sum(next(running) for _ in range(batches))
            result.rates.append(images / (time.perf_counter() - start))
            running.close()
            result.images += side.made() - made if side.made else images
            result.cpu += _cpu() - cpu
    return results


def _cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    """Prints a line a side, and the ratios that matter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument(
        "--against", default="", help="only our own sides and those whose name begins so, such as decoder"
    )
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}, OpenCV {cv2.__version__}, torch {torch.__version__}, "
        f"Pillow {PIL.__version__}; {args.workers} workers, batch {BATCH}, {args.rounds} rounds of {args.batches} batches"
    )
    with tempfile.TemporaryDirectory() as scratch:
        sides = _sides(Path(scratch), args.formats, BATCH * args.batches, args.workers)
        chosen = {name: side for name, side in sides.items() if name.startswith(("unimedvlp", args.against))}
        results = measure(chosen, args.rounds, args.batches)
    print(f"{'':44}{'images/s':>10}{'lowest':>9}{'highest':>9}{'CPU ms/image':>14}")
    for name, result in results.items():
        rates = result.rates
        print(
            f"{name:44}{statistics.median(rates):10.0f}{min(rates):9.0f}{max(rates):9.0f}{1000 * result.cpu / result.images:14.2f}"
        )
    base = results["unimedvlp, JPEG"]
    print(f"\n{'unimedvlp, JPEG, against':44}{'images/s':>10}{'CPU':>9}   (above 1: the pipeline is faster)")
    for name, result in results.items():
        if name != "unimedvlp, JPEG":
            pairs = [mine / other for mine, other in zip(base.rates, result.rates, strict=True)]
            cpu = (result.cpu / result.images) / (base.cpu / base.images)
            print(f"{name:44}{statistics.median(pairs):10.2f}{cpu:9.2f}")


def _sides(scratch: Path, formats: Sequence[str], images: int, workers: int) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    for kind in formats:
        builder = Drawn(studies=images, kind=kind)
        prepare(builder, None, scratch / kind)
        folder = folder_of(builder, scratch / kind, "all")
        source = PreparedSplit(folder, "train")
        space = TokenSpace.create([], text.train((record.findings for record in source), size=600))
        files = scratch / f"{kind}_files"
        write_files(source, files, kind)
        sides[f"unimedvlp, {kind}"] = ours(folder, workers)
        for reader in input_torch.READERS[kind]:
            sides[f"torch DataLoader, {kind} by {reader}"] = torchs(files, reader, workers, space)
        if kind == "JPEG":
            prepare(builder, None, scratch / "small", resize=256)
            sides["unimedvlp, JPEG, prepare --resize 256"] = ours(folder_of(builder, scratch / "small", "all"), workers)
            stored = [source[i].images[0] for i in range(min(images, 128))]
            sides["decoder alone, JPEG, full scale, colour"] = decoder(stored, cv2.IMREAD_COLOR, workers)
            sides["decoder alone, JPEG, full scale, grey"] = decoder(stored, cv2.IMREAD_GRAYSCALE, workers)
            sides["decoder alone, JPEG, a quarter, grey"] = decoder(stored, REDUCED, workers)
    return sides


if __name__ == "__main__":
    main()
