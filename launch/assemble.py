"""From a config, or from a working directory, to the parts of a run: sources, token space, system, mesh, evaluators."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh

from data_pipelines import images as image_io
from data_pipelines import input as inputs
from data_pipelines.batch import BatchSpec, Tally
from data_pipelines.few import Few
from data_pipelines.read import PreparedSplit
from data_pipelines.shuffled import ShuffledImages
from data_pipelines.squared import Squared
from data_pipelines.transforms import Augment
from launch.abstract import batch_shapes
from unimedvlp import config as configs
from unimedvlp import systems, tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation import planned
from unimedvlp.evaluation.baselines import pixels
from unimedvlp.evaluation.evaluator import Evaluator
from unimedvlp.evaluation.retrieval_evaluator import RetrievalEvaluator
from unimedvlp.models.generate import Beam, Greedy, Method, TopP
from unimedvlp.parallel.mesh import make_mesh
from unimedvlp.parallel.multihost import barrier, batch_share, process_zero
from unimedvlp.records import Record
from unimedvlp.systems.base import System
from unimedvlp.tasks.base import Reference, Samples, Task
from unimedvlp.tasks.report import Report
from unimedvlp.tokens import text
from unimedvlp.tokens.space import FILE as SPACE_FILE
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.training.checkpoints import load_params

LABELS_FILE = "labels.json"  # the findings that the training records are labelled with
METHODS = {"greedy": Greedy, "top_p": TopP, "beam": Beam}


@dataclasses.dataclass(frozen=True)
class Run:
    """The parts that training, evaluation and prediction share."""

    config: ml_collections.ConfigDict
    workdir: Path
    data: Path
    space: TokenSpace
    system: systems.System
    mesh: Mesh
    spec: BatchSpec

    @classmethod
    def create(cls, config: ml_collections.ConfigDict, workdir: Path, data: Path) -> "Run":
        """For training: the token space of the working directory, or a new one from the training split.

        Only process 0 writes; the others read what it wrote.
        """
        if process_zero():
            if not (workdir / SPACE_FILE).is_file():
                entries = train_entries(config, data)
                names = {name for entry in entries for record in entry.source for name in record.labels}
                workdir.mkdir(parents=True, exist_ok=True)
                (workdir / LABELS_FILE).write_text(json.dumps(sorted(names), indent=1) + "\n")
                start = config.get("start_from", "")
                space = extended_space(entries, start) if start else make_space(entries, config.tokenizer)
                space.save(workdir)
            configs.save(config, workdir)
        barrier(f"{workdir} holds config and token space")
        return cls._of(config, workdir, data, TokenSpace.load(workdir))

    @classmethod
    def load(cls, workdir: Path, data: Path, overrides: Sequence[str] = ()) -> "Run":
        """For a trained model: everything from its working directory."""
        config = configs.reload(workdir)
        configs.override(config, overrides)
        return cls._of(config, workdir, data, TokenSpace.load(workdir))

    @classmethod
    def _of(cls, config, workdir, data, space) -> "Run":
        spec = configs.build(BatchSpec, config.data.spec, "data.spec")
        system = systems.build(config.system, space, spec.image_size, spec.views)
        return cls(config, Path(workdir), Path(data), space, system, make_mesh(config.mesh), spec)

    def params(self, which: str = "best") -> Any:
        """The trained parameters, the best or the newest. UserError where there are none, or they are of another architecture,
        say that of an earlier version."""
        shapes = batch_shapes(self.spec, self.space, self.config.batch, self.mesh)
        model = jax.eval_shape(lambda batch: nn.unbox(self.system.init(jax.random.key(0), batch)), shapes)
        return load_params(self.workdir, which, model)

    def labels(self) -> list[str]:
        """The findings that the training records are labelled with."""
        return json.loads((self.workdir / LABELS_FILE).read_text())

    def train_batches(self) -> inputs.Batches:
        """This host's training batches, by step."""
        index, count = batch_share(self.mesh)
        data = self.config.data
        return inputs.train_batches(
            train_entries(self.config, self.data),
            self.space,
            self.spec,
            batch_size=self.config.batch,
            seed=self.config.seed,
            augment=configs.build(Augment, data.augment, "data.augment"),
            threads=data.threads,
            temperature=data.temperature,
            process_index=index,
            process_count=count,
        )

    def evaluator(
        self,
        name: str,
        split: str = "",
        *,
        shuffled: bool = False,
        full: bool = False,
        tally: Tally | None = None,
        decoder: str = "",
    ) -> Evaluator:
        """The evaluator of one entry of `evals`, on its own split or another; `full` ignores its limit, `decoder` replaces the
        first of its `decoders`."""
        entry = self.config.evals[name]
        task, source = self.task(name), self.source(name, split or entry.split)
        if shuffled:
            source = ShuffledImages(source, seed=self.config.seed)
        spec = self.spec if "text" in task.shows else dataclasses.replace(self.spec, text_length=1)
        index, count = batch_share(self.mesh)
        decoder = decoder or self.decoders(name)[0]
        batches = functools.partial(
            inputs.eval_batches,
            source,
            task,
            self.space,
            spec,
            entry.batch,
            limit=None if full else entry.limit or None,
            once=decoder == "decomposed",
            threads=self.config.data.threads,
            name=name,
            tally=tally,
            process_index=index,
            process_count=count,
        )
        reference = Reference(self.samples(name, "train"))
        length = entry.get("length", self.spec.response_length)
        return (RetrievalEvaluator if task.ranks else Evaluator)(
            self.system_for(task), task, self.space, make_samples(source, task), batches, reference, self.mesh,
            length, make_method(entry.get("method", {"name": "greedy"}), f"evals.{name}.method"),
            decoder,
        )  # fmt: skip

    def system_for(self, task: Task) -> System:
        """The system as it serves a task: reports of a trained model follow the plan that its evaluation chose."""
        return planned.apply(self.system, self.space, self.workdir) if plans(task) else self.system

    def choose_plan(self, name: str, params: Any) -> None:
        """Choose the plan's thresholds for an entry of `evals` on validation, and keep them in the working directory."""
        validation = dataclasses.replace(self.evaluator(name, "validation", full=True), system=self.system)
        thresholds = planned.choose(validation, params)
        if process_zero():
            planned.save(thresholds, self.workdir)
        barrier(f"{self.workdir} holds the plan")

    def decoders(self, name: str) -> tuple[str, ...]:
        """The decoders that an entry of `evals` scores, the leading one first."""
        return tuple(self.config.evals[name].get("decoders", ("composed",)))

    def task(self, name: str) -> Task:
        """The task of one entry of `evals`."""
        return tasks.build(self.config.evals[name].task)

    def source(self, name: str, split: str) -> Sequence[Record]:
        """One split of the data set of an entry of `evals`, squared as the encoder sees it where that keeps the shape."""
        source = PreparedSplit(self.data / self.config.evals[name].path, split)
        return Squared(source) if self.spec.resize == "letterbox" else source

    def samples(self, name: str, split: str) -> Samples:
        """The units of one split for an entry of `evals`."""
        return make_samples(self.source(name, split), self.task(name))


def train_entries(config: ml_collections.ConfigDict, data: Path) -> list[inputs.Entry]:
    """The mixture of `data.train`: name -> {path, split, tasks: {task name: options}, weight, pack}, and optionally `shots`, so
    many records, drawn by the config's seed."""
    if not config.data.train:
        raise UserError("config: data.train has no entries; name at least one data set and task")
    entries = []
    for name, e in config.data.train.items():
        chosen = tuple(tasks.build({"name": task, **options}) for task, options in e.tasks.items())
        source = PreparedSplit(data / e.path, e.split)
        if e.get("shots"):
            source = Few(source, e.shots, config.seed)
        entries.append(inputs.Entry(source, chosen, e.get("weight"), name, e.get("pack", 1)))
    return entries


def make_space(entries: Sequence[inputs.Entry], tokenizer_options: Mapping[str, Any]) -> TokenSpace:
    """The token space of a run: a named tokenizer or one trained on the training records, and all class names met there."""
    options = dict(tokenizer_options)
    folder = options.pop("folder", "")
    names = sorted(_class_names(entries))
    if folder:
        tokenizer = text.load(folder)
    else:
        texts = (piece for entry in entries for piece in _texts(entry))
        tokenizer = text.train(itertools.chain(texts, names * 3), **options)  # names are read as text, too
    return TokenSpace.create(names, tokenizer)


def extended_space(entries: Sequence[inputs.Entry], workdir: str | Path) -> TokenSpace:
    """The token space of a trained working directory with the class names that are new behind its own."""
    space = TokenSpace.load(workdir)
    known = space.vocabulary.classes
    return TokenSpace.create([*known, *sorted(_class_names(entries) - set(known))], space.tokenizer)


def make_samples(source: Sequence[Record], task: Task) -> Samples:
    """All units of a source with their truths; thumbnails are read when first asked for."""
    found = inputs.units(source, task)
    records = np.array([index for index, _ in found], int)

    @functools.cache
    def thumbnails() -> np.ndarray:
        unique, rows = np.unique(records, return_inverse=True)
        return pixels([_first_image(source[int(i)]) for i in unique])[rows]

    cache: dict[int, Record] = {}
    truths = []
    for index, unit in found:
        if index not in cache:
            cache = {index: source[index]}
        truths.append(task.truth(cache[index], unit))
    return Samples(truths, records, thumbnails, [unit for _, unit in found])


def plans(task: Task) -> bool:
    """Whether a task decides on findings before it writes."""
    return isinstance(task, Report) and bool(task.plan)


def make_method(options: Any, where: str) -> Method:
    """The decoding method of a config: {name: greedy | top_p | beam, ...}."""
    options = dict(options)
    name = options.pop("name", "")
    if name not in METHODS:
        raise UserError(f"{where}: unknown decoding method {name!r}; known: {', '.join(METHODS)}")
    return configs.build(METHODS[name], options, where)


def placed(run: Run, params: Any) -> Any:
    """Parameters on every device of the run's mesh."""
    from unimedvlp.parallel.rules import replicated

    return jax.device_put(params, replicated(run.mesh))


def _class_names(entries: Sequence[inputs.Entry]) -> set[str]:
    names = {name for entry in entries for task in entry.tasks for name in getattr(task, "classes", ())}
    return names | {name for entry in entries for record in entry.source for name in _classes(record)}


def _texts(entry: inputs.Entry) -> Iterator[str]:
    for i in range(len(entry.source)):
        record = entry.source[i]
        for task in entry.tasks:
            if task.serves(record):
                yield from task.texts(record)


def _classes(record: Record) -> Iterator[str]:
    yield from record.labels
    yield from record.box_classes
    yield from record.mask_classes


def _first_image(record: Record) -> np.ndarray:
    try:
        return image_io.decode(record.images[0], size=64)
    except UserError:
        return np.zeros((64, 64), np.uint8)
