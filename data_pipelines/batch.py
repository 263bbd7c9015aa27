"""Examples to batches of fixed shape, and the tally of what did not fit."""

import dataclasses
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.tokens import sequences
from unimedvlp.tokens.vocabulary import PAD

Batch = dict[str, np.ndarray]
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BatchSpec:
    """The shapes of a batch: V `views` of `image_size` pixels square with C `channels`; L, P and R tokens.

    A batch carries annotations where they are asked for: K `objects` an image, their masks of `mask_size` pixels square, and
    the values of G `labels`, findings by name (see `slots.annotations`).
    """

    image_size: int
    views: int
    channels: int
    text_length: int
    prompt_length: int
    response_length: int
    resize: str = "squash"  # or "letterbox", which keeps the shape of the image
    objects: int = 0
    mask_size: int = 0
    labels: tuple[str, ...] = ()

    def __post_init__(self):
        if self.mask_size and not self.objects:
            raise UserError("data.spec: mask_size needs objects, the number of slots for them")

    @property
    def image_shape(self) -> tuple[int, int, int, int]:
        """`[V, H, W, C]` of one example."""
        return self.views, self.image_size, self.image_size, self.channels

    @property
    def annotated(self) -> bool:
        """Whether batches carry annotations."""
        return bool(self.objects or self.labels)

    def plain(self) -> "BatchSpec":
        """The same without annotations, for predictions."""
        return dataclasses.replace(self, objects=0, mask_size=0, labels=())


@dataclasses.dataclass(frozen=True)
class Example:
    """One row of a batch: images uint8 `[V, H, W, C]` (zeros where `view_mask` `[V]` is False), one or more sequences about
    them, where it comes from, and its annotations. Only a row's first sequence may have a context."""

    images: np.ndarray
    view_mask: np.ndarray
    sequences: tuple[sequences.Sequence, ...]
    task: int  # position in vocabulary.TASKS
    dataset: int
    index: int
    valid: bool = True
    annotations: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)  # of `slots.annotations`


class Tally:
    """What the input cut, dropped or set aside, counted. One is shared by all reading threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.set_aside: dict[str, str] = {}  # "data set/study" -> reason

    def count(self, what: str, number: int = 1) -> None:
        """Add to one count; says so in the log the first time."""
        if not number:
            return
        with self._lock:
            first = not self.counts[what]
            self.counts[what] += number
        if first:
            _log.info("input: first example with a %s", what)

    def put_aside(self, dataset: str, study: str, reason: str) -> None:
        """Note a record that cannot be read; the log names it once."""
        name = f"{dataset}/{study}"
        with self._lock:
            known = name in self.set_aside
            self.set_aside[name] = reason
            self.counts["record set aside"] += not known
        if not known:
            _log.warning("input: set aside %s: %s", name, reason)


def collate(examples: Sequence[Example], spec: BatchSpec, tally: Tally | None = None) -> Batch:
    """Stack B examples into a batch: fixed shapes, absence masked.

    The first sequence of a row gives `prompt`, and its response begins `response`; further ones follow there whole, prompt
    and response, as long as they fit. `target` is what must be said at each place of the response, which is the response
    itself but for sequences that ask for something else; `response_weight` is how much it counts, 1 unless the sequence says
    otherwise, 0 on prompts and on padding;
    `segment` `[B, P + R]` counts the sequences from 1 (0 on padding), so that attention can keep them apart.
    A context or first response that is too long is cut at its end and counted in `tally`. A cut response has no EOS, so that
    the model is not taught to stop early. A prompt is never cut: UserError.
    """
    tally = tally or Tally()
    firsts = [e.sequences[0] for e in examples]
    if any(rest.context for e in examples for rest in e.sequences[1:]):
        raise UserError("a task that reads a context cannot be packed behind another; give it an entry of its own")
    for kind, length in (("context", spec.text_length), ("response", spec.response_length)):
        tally.count(f"{kind} cut at {length} tokens", sum(len(getattr(first, kind)) > length for first in firsts))
    if (longest := max(len(first.prompt) for first in firsts)) > spec.prompt_length:
        raise UserError(
            f"a prompt has {longest} tokens; set prompt_length to at least that (it is {spec.prompt_length})"
        )
    tally.count(
        "object or outline without a place in the response", sum(s.dropped for e in examples for s in e.sequences)
    )
    text, text_mask = _pad([first.context for first in firsts], spec.text_length)
    prompt, prompt_mask = _pad([first.prompt for first in firsts], spec.prompt_length)
    rows = [_row(e.sequences, spec.response_length) for e in examples]
    response, target, segment = (_pad([row[k] for row in rows], spec.response_length)[0] for k in (0, 1, 3))
    weight = np.zeros(response.shape, np.float32)
    for i, row in enumerate(rows):
        weight[i, : len(row[2])] = row[2]
    return {
        "image": np.stack([e.images for e in examples]),
        "view_mask": np.stack([e.view_mask for e in examples]),
        "text": text,
        "text_mask": text_mask,
        "prompt": prompt,
        "prompt_mask": prompt_mask,
        "response": response,
        "target": target,
        "response_weight": weight,
        "segment": np.concatenate([prompt_mask.astype(np.int32), segment], axis=1),
        "task": np.array([e.task for e in examples], np.int32),
        "dataset": np.array([e.dataset for e in examples], np.int32),
        "index": np.array([e.index for e in examples], np.int64),
        "_mask": np.array([e.valid for e in examples], bool),
    } | {name: np.stack([e.annotations[name] for e in examples]) for name in examples[0].annotations}


def _row(parts: Sequence[sequences.Sequence], length: int) -> tuple[list[int], list[int], list[float], list[int]]:
    """One row's response: the ids read, the ids to say, their weights and segments. The first response, then whole
    sequences as long as they fit."""
    first = parts[0]
    ids, target, weights = list(first.response), list(_target(first)), list(_weight(first))
    segments = [1] * len(ids)
    for number, part in enumerate(parts[1:], start=2):
        size = len(part.prompt) + len(part.response)
        if len(ids) + size <= length:
            ids += [*part.prompt, *part.response]
            target += [*part.prompt, *_target(part)]
            weights += [0.0] * len(part.prompt) + list(_weight(part))
            segments += [number] * size
    return ids[:length], target[:length], weights[:length], segments[:length]


def _target(part: sequences.Sequence) -> Sequence[int]:
    return part.response if part.target is None else part.target


def _weight(part: sequences.Sequence) -> Sequence[float]:
    return [1.0] * len(part.response) if part.weight is None else part.weight


def _pad(rows: Sequence[Sequence[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids as int32 `[B, length]`, cut or padded with 0 at the end, and which are real, bool `[B, length]`."""
    ids = np.full((len(rows), length), PAD, np.int32)
    for i, row in enumerate(rows):
        row = row[:length]
        ids[i, : len(row)] = row
    lengths = np.array([len(row) for row in rows])
    return ids, np.arange(length) < lengths[:, None]
