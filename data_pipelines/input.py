"""Records to batches with Grain. A training batch is a function of its step alone: the same on any number of hosts and
threads, and the position to save is the step number."""

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from data_pipelines import images as image_io
from data_pipelines.available import units_by_record
from data_pipelines.batch import Batch, BatchSpec, Example, Tally, collate
from data_pipelines.mixture import Mixture, temperature_weights
from data_pipelines.slots import annotations
from data_pipelines.transforms import Augment, augment, names_side
from unimedvlp.errors import UserError
from unimedvlp.records import Record
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import TASKS

__all__ = ["Batch", "BatchSpec", "Batches", "Entry", "Tally", "eval_batches", "load", "train_batches", "units"]

_LARGEST = 1.25  # times the size that is wanted: a larger image is averaged to that first, lest the warp skip pixels
_TOGETHER = 8  # records that a thread reads in one call
_IN_A_ROW = 64  # unreadable records in a row at which training stops
_NO_CODES = np.zeros(0, np.int32)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One part of a mixture: tasks on the records of a data set. `weight` None: by size.

    A row of a batch is one record with up to `pack` units of each task it serves, in the order of `tasks`, as far as they fit
    into the response: the images are encoded once for all of them. Tasks that read a context take a row each.
    """

    source: Sequence[Record]
    tasks: tuple[Task, ...]
    weight: float | None
    name: str  # of the data set
    pack: int = 1


def units(source: Sequence[Record], task: Task, name: str = "") -> list[tuple[int, Any]]:
    """All (record index, unit) that the records hold for a task, in order; an evaluation batch's `index` points in here."""
    return [(i, unit) for i, found in enumerate(units_by_record(source, task, name)) for unit in found]


def load(
    record: Record,
    tasks: Sequence[Task],
    spec: BatchSpec,
    rng: np.random.Generator | None = None,
    config: Augment | None = None,
) -> tuple[np.ndarray, np.ndarray, Record, int]:
    """What the encoder sees of a record: images uint8 `[V, H, W, C]`, view mask bool `[V]`, the record with its boxes and
    masks moved along (where a task or the batch needs them), and how many of these left the picture. Augments if given `config`;
    a moved image has no codes, since those stored are of the image as it was.

    Views keep the record's order; those beyond V are left out. UserError for an image that cannot be decoded.
    """
    config = config or Augment()
    size = math.ceil(spec.image_size / math.sqrt(config.crop))
    needs = {field for task in tasks for field in (*task.needs, *task.uses)}
    if spec.objects:
        needs |= {"boxes", "masks"}
    shown = record.images[: spec.views] if any("images" in task.shows for task in tasks) else ()
    channels = 1 if spec.channels == 1 else None  # a grey image becomes C equal channels at the end, not here
    pictures = [image_io.decode(data, size=size, channels=channels) for data in shown]
    warped = (
        config.moves and spec.resize == "squash"
    )  # into the batch's size whatever its own is: one resampling, not two
    resized = [
        (picture, image_io.IDENTITY)
        if warped and size <= min(picture.shape[:2]) and max(picture.shape[:2]) <= _LARGEST * size
        else image_io.resize(picture, size, spec.resize)
        for picture in pictures
    ]
    boxes = np.zeros((0, 4), np.float32)
    masks: list[np.ndarray] = []
    if resized and "boxes" in needs:
        boxes = image_io.move_boxes(record.boxes, resized[0][1])
    if resized and "masks" in needs:
        masks = [image_io.resize_mask(image_io.decode(m, channels=1), size, spec.resize) for m in record.masks]
    moved = augment(
        [image for image, _ in resized],
        boxes,
        masks,
        rng or np.random.default_rng(0),
        config,
        allow_flip=not (config.flip and names_side(record)),
        size=spec.image_size,
    )
    if resized and "boxes" in needs:
        classes = tuple(np.array(record.box_classes, object)[moved.boxes_kept])
        record = dataclasses.replace(record, boxes=moved.boxes, box_classes=classes)
    if resized and "masks" in needs:
        classes = tuple(np.array(record.mask_classes, object)[moved.masks_kept])
        record = dataclasses.replace(
            record, masks=tuple(image_io.encode_png(m) for m in moved.masks), mask_classes=classes
        )
    if resized and config.moves and (len(record.image_codes) or len(record.mask_codes)):
        record = dataclasses.replace(record, image_codes=_NO_CODES, mask_codes=_NO_CODES)
    stack = np.zeros(spec.image_shape, np.uint8)
    for view, image in enumerate(moved.images):
        stack[view] = image_io.with_channels(image, spec.channels)
    lost = int(np.count_nonzero(~moved.boxes_kept) + np.count_nonzero(~moved.masks_kept))
    return stack, np.arange(spec.views) < len(shown), record, lost


class Batches:
    """step -> this host's slice of the global batch. Steps in order are read ahead by threads; any other step is a seek.

    `examples` come in groups of `_group(size)`, lists that a thread makes in one go.
    """

    def __init__(
        self,
        examples: grain.MapDataset,
        spec: BatchSpec,
        size: int,
        threads: int,
        tally: Tally,
        datasets: tuple[str, ...],
    ):
        self.spec, self.tally, self.datasets = spec, tally, datasets  # `datasets` name the ids in batch["dataset"]
        self._groups = size // _group(size)
        self._next: int | None = None
        ahead = max(self._groups, 2 * threads) if threads else 0
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        self._examples = iter(examples.to_iter_dataset(options))

    def __call__(self, step: int) -> Batch:
        """The batch of one step, as numpy arrays."""
        if step != self._next:
            self._examples.set_state({"next_index": step * self._groups})
        self._next = None  # after an error the next call seeks
        examples = [example for _ in range(self._groups) for example in next(self._examples)]
        self._next = step + 1
        return collate(examples, self.spec, self.tally)

    def close(self) -> None:
        """Stop the reading threads."""
        self._examples.close()


def train_batches(
    entries: Sequence[Entry],
    space: TokenSpace,
    spec: BatchSpec,
    *,
    batch_size: int,
    seed: int = 0,
    augment: Augment | None = None,
    threads: int = 2,
    temperature: float = 1.0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """Endless training batches over a mixture of entries; `batch_size` is global.

    Each entry is shuffled anew every epoch and repeats no record within one; units of a record are drawn at random.
    Weights are the entries' own, or by size and `temperature` where no entry has one. A record that cannot be read is set
    aside, counted and replaced by the next one. UserError where no record of an entry can serve one of its tasks.
    """
    if not entries:
        raise UserError("the mixture has no entries; name at least one data set and task")
    if batch_size % process_count:
        raise UserError(f"batch_size {batch_size} does not divide over {process_count} hosts")
    available = [_available(entry) for entry in entries]
    mixture = Mixture(_weights(entries, available, temperature), seed)
    orders = [
        grain.MapDataset.range(len(records)).shuffle(seed=_seed(seed, k)).repeat()
        for k, records in enumerate(available)
    ]
    datasets = tuple(dict.fromkeys(entry.name for entry in entries))
    tally = Tally()
    reader = _Reader(entries, available, datasets, space, spec, seed, augment or Augment(), tally)
    size = batch_size // process_count
    stream = _HostSlice(_Stream(orders, mixture), batch_size, process_index, process_count)
    return Batches(_Groups(stream, _group(size)).map(reader), spec, size, threads, tally, datasets)


def eval_batches(
    source: Sequence[Record],
    task: Task,
    space: TokenSpace,
    spec: BatchSpec,
    batch_size: int,
    *,
    limit: int | None = None,
    once: bool = False,
    threads: int = 2,
    name: str = "",
    tally: Tally | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """This host's slices of global batches over every (record, unit) of `units(source, task)`, in order and unaugmented.

    `index` is the position in that list. `once` takes only the first unit of each record; `limit` takes that many of what is
    left, evenly spread. The last batch is filled up with its last example, `_mask` False. Batches carry no annotations. A
    record that cannot be read is set aside in `tally`: `_mask` False, image zeros.
    """
    if batch_size % process_count:
        raise UserError(f"batch_size {batch_size} does not divide over {process_count} hosts")
    spec = spec.plain()
    every = units(source, task, name)
    positions = np.arange(len(every))
    if once:
        positions = np.unique([record for record, _ in every], return_index=True)[1]
    if limit and limit < len(positions):
        positions = positions[np.linspace(0, len(positions) - 1, limit).round().astype(int)]
    tally = tally or Tally()

    def read(places: list[int]) -> list[Example]:
        indices = [int(positions[min(place, len(positions) - 1)]) for place in places]
        found = records(source, [every[index][0] for index in indices])
        return [
            example(record, index, place < len(positions))
            for record, index, place in zip(found, indices, places, strict=True)
        ]

    def example(record: Record, index: int, valid: bool) -> Example:
        unit = every[index][1]
        try:
            images, view_mask, record, _ = load(record, (task,), spec)
        except UserError as error:
            tally.put_aside(name, record.study_id, str(error))
            images, view_mask, valid = np.zeros(spec.image_shape, np.uint8), np.zeros(spec.views, bool), False
        sequence = task.sequence(record, unit, space)
        return Example(images, view_mask, (sequence,), TASKS.index(task.name), 0, index, valid)

    size = batch_size // process_count
    steps = -(-len(positions) // batch_size)
    stream = _HostSlice(grain.MapDataset.range(steps * batch_size), batch_size, process_index, process_count)
    batches = Batches(_Groups(stream, _group(size)).map(read), spec, size, threads, tally, (name,))
    try:
        yield from map(batches, range(steps))
    finally:
        batches.close()


class _Stream(grain.MapDataset):
    """The endless global stream: element i is (i, entry, place in the entry's available records)."""

    def __init__(self, orders: Sequence[grain.MapDataset], mixture: Mixture):
        super().__init__(orders)
        self._mixture = mixture

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[int, int, int]:
        entry, ordinal = self._mixture.choose(index)
        return index, entry, int(self.parents[entry][ordinal])


class _HostSlice(grain.MapDataset):
    """One host's part of every global batch of `size` elements: batches are then equal on any number of hosts."""

    def __init__(self, parent: grain.MapDataset, size: int, process_index: int, process_count: int):
        super().__init__(parent)
        self._size, self._local, self._host = size, size // process_count, process_index

    def __len__(self) -> int:
        return len(self._parent) // self._size * self._local

    def __getitem__(self, index: int) -> Any:
        step, place = divmod(index, self._local)
        return self._parent[step * self._size + self._host * self._local + place]


class _Groups(grain.MapDataset):
    """Lists of `size` consecutive elements, so that a thread reads that many records in one call."""

    def __init__(self, parent: grain.MapDataset, size: int):
        super().__init__(parent)
        self._size = size

    def __len__(self) -> int:
        return len(self._parent) // self._size

    def __getitem__(self, index: int) -> list[Any]:
        return [self._parent[index * self._size + i] for i in range(self._size)]


@dataclasses.dataclass(frozen=True)
class _Reader:
    """[(index, entry, place)] -> [Example]; all randomness comes from the seed and the global index."""

    entries: Sequence[Entry]
    available: Sequence[np.ndarray]
    datasets: tuple[str, ...]
    space: TokenSpace
    spec: BatchSpec
    seed: int
    augment: Augment
    tally: Tally

    def __call__(self, elements: list[tuple[int, int, int]]) -> list[Example]:
        found: dict[int, Record] = {}  # by global index
        for k in {k for _, k, _ in elements}:
            mine = [(index, int(self.available[k][place])) for index, entry, place in elements if entry == k]
            read = records(self.entries[k].source, [place for _, place in mine])
            found |= zip((index for index, _ in mine), read, strict=True)
        return [self._example(*element, found[element[0]]) for element in elements]

    def _example(self, index: int, k: int, place: int, record: Record) -> Example:
        entry, available = self.entries[k], self.available[k]
        rng = np.random.default_rng((self.seed, 1, index))
        for attempt in range(min(len(available), _IN_A_ROW)):
            if attempt:
                record = entry.source[int(available[(place + attempt) % len(available)])]
            try:
                images, view_mask, record, lost = self._load(record, entry.tasks, rng)
            except UserError as error:
                self.tally.put_aside(entry.name, record.study_id, str(error))
                continue
            self.tally.count("box or mask lost by augmentation", lost)
            served = [task for task in entry.tasks if task.serves(record)]
            row = [sequence for task in served for sequence in self._draw(task, record, entry.pack, rng)]
            if not row:
                self.tally.put_aside(
                    entry.name, record.study_id, f"no prompt fits into {self.spec.prompt_length} tokens"
                )
                continue
            dataset, task = self.datasets.index(entry.name), TASKS.index(served[0].name)
            noted = self._annotations(record, any(task.labelled for task in served))
            return Example(images, view_mask, tuple(row), task, dataset, index, annotations=noted)
        reason = self.tally.set_aside[f"{entry.name}/{record.study_id}"]
        raise UserError(f"data set {entry.name}: {attempt + 1} records in a row cannot be read; last: {reason}")

    def _draw(self, task: Task, record: Record, pack: int, rng: np.random.Generator) -> list[sequences.Sequence]:
        choices = task.units(record)
        drawn = rng.choice(len(choices), size=min(pack, len(choices)), replace=False) if len(choices) > 1 else (0,)
        found = [task.sequence(record, choices[i], self.space, rng) for i in drawn]
        fitting = [sequence for sequence in found if len(sequence.prompt) <= self.spec.prompt_length]
        self.tally.count(f"prompt over {self.spec.prompt_length} tokens left out", len(found) - len(fitting))
        return fitting

    def _annotations(self, record: Record, labelled: bool) -> Mapping[str, np.ndarray]:
        """The arrays that the batch asks for; those of an empty record where the tasks use an image as unlabelled."""
        if not self.spec.annotated:
            return {}
        record = record if labelled else Record(record.study_id)
        sizes = (self.spec.objects, self.spec.mask_size, self.spec.labels)
        arrays, left = annotations(record, self.space.vocabulary, *sizes)
        self.tally.count(f"object beyond the {self.spec.objects} slots of an image", left)
        return arrays

    def _load(
        self, record: Record, tasks: Sequence[Task], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, Record, int]:
        loaded = load(record, tasks, self.spec, rng, self.augment)
        if any(task.serves(loaded[2]) for task in tasks):
            return loaded
        return load(record, tasks, self.spec)  # augmentation lost every object: show the record as it is


def records(source: Sequence[Record], indices: Sequence[int]) -> list[Record]:
    """Several records of a source, in one call where it can."""
    if hasattr(source, "__getitems__"):
        return source.__getitems__(indices)
    return [source[index] for index in indices]


def _group(size: int) -> int:
    """How many of a host's `size` examples are read together: the largest number that divides it, up to `_TOGETHER`."""
    return max(number for number in range(1, _TOGETHER + 1) if size % number == 0)


def _available(entry: Entry) -> np.ndarray:
    """Indices of the records that serve at least one task of an entry."""
    by_task = [units_by_record(entry.source, task, entry.name) for task in entry.tasks]
    return np.array([i for i, found in enumerate(zip(*by_task, strict=True)) if any(found)])


def _weights(entries: Sequence[Entry], available: Sequence[np.ndarray], temperature: float) -> Sequence[float]:
    weights = [entry.weight for entry in entries if entry.weight is not None]
    if not weights:
        return temperature_weights([len(records) for records in available], temperature)
    if len(weights) < len(entries):
        raise UserError("mixture: give every entry a weight or none (then weights follow the sizes)")
    return weights


def _seed(seed: int, entry: int) -> int:
    return int(np.random.SeedSequence((seed, entry)).generate_state(1)[0])
