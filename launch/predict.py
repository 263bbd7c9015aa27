"""One study in, a prediction out: a report, an answer, a summary, or the probabilities of findings and classes."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import images as image_io
from data_pipelines import input as inputs
from data_pipelines.batch import Example, collate
from launch.assemble import Run, make_method
from launch.main import run
from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.records import MODALITIES, NEGATIVE, POSITIVE, Question, Record
from unimedvlp.tasks.base import Task
from unimedvlp.training.checkpoints import load_params

EXAMPLE = """examples:
  unimedvlp predict --model runs/synthetic --task report --image frontal.png --image lateral.png
  unimedvlp predict --model runs/synthetic --task vqa --image study.dcm --question "Is there a pleural effusion?"
  unimedvlp predict --model runs/synthetic --task summarise --text "The heart is enlarged. No effusion."
  unimedvlp predict --model runs/synthetic --task classify --image frontal.png --json"""
TASKS = ("report", "vqa", "summarise", "classify")


def main(argv: list[str]) -> int:
    """Print the prediction, as text or as one JSON object."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp predict",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, type=Path, help="working directory of a training run")
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument(
        "--image", action="append", default=[], type=Path, help="PNG, JPEG or DICOM; repeat it for views"
    )
    parser.add_argument("--question", default="", help="what to ask (vqa)")
    parser.add_argument("--text", default="", help="findings to summarise (summarise)")
    parser.add_argument("--modality", choices=MODALITIES, help="default: from the DICOM file, else xray")
    parser.add_argument("--which", default="best", choices=("best", "newest"), help="which weights (default: best)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    parts = Run.load(options.model, Path("data"), ["mesh={'data': 1}"])
    study = read_study(options.image, options.question, options.text, options.modality)
    found = predict(parts, load_params(options.model, options.which), options.task, study)
    print(json.dumps(found, indent=1, ensure_ascii=False) if options.json else _readable(found))
    return 0


def read_study(paths: Sequence[Path], question: str = "", text: str = "", modality: str | None = None) -> Record:
    """A record of image files (PNG, JPEG, DICOM), a question and findings; what is not known stays empty."""
    loaded = [image_io.load_image_file(path) for path in paths]
    known = next((image.modality for image in loaded if image.modality != "other"), "")
    return Record(
        study_id="study",
        images=tuple(image_io.encode_png(image.pixels) for image in loaded),
        views=tuple(image.view for image in loaded),
        modality=modality or known or ("xray" if loaded else "text"),
        findings=text,
        qa=(Question(question, ""),) if question else (),
    )


def predict(parts: Run, params: Any, name: str, study: Record) -> dict[str, Any]:
    """The prediction of one of `TASKS` as plain values. Raises UserError where the input or the model does not suit it."""
    if name != "summarise" and not study.images:
        raise UserError(f"task {name} needs --image")
    if name == "vqa" and not study.qa:
        raise UserError("task vqa needs --question")
    if name == "summarise" and not study.findings:
        raise UserError("task summarise needs --text")
    if len(study.images) > parts.spec.views:
        raise UserError(
            f"{len(study.images)} images, but the model was trained with {parts.spec.views} views of a study"
        )
    if name == "report":
        return {"task": name, "report": _write(parts, params, _one(parts, "report"), study)}
    if name == "vqa":
        answer = _write(parts, params, _one(parts, "answer"), study)
        return {"task": name, "question": study.qa[0].question, "answer": answer}
    if name == "summarise":
        return {"task": name, "impression": _write(parts, params, _one(parts, "summarise"), study)}
    return {"task": name} | _classify(parts, params, study)


def _write(parts: Run, params: Any, task: Task, study: Record) -> str:
    unit = 0 if task.name == "answer" else None
    batch = _batch(parts, task, [task.sequence(study, unit, parts.space)], study)
    entry = next((e for e in parts.config.evals.values() if e.task["name"] == task.name), {})
    method = make_method(entry.get("method", {"name": "greedy"}), "evals.method")
    length = parts.spec.response_length
    allowed = task.grammar(parts.space, length)
    step = jax.jit(lambda p, b: parts.system.generate(p, b, jax.random.key(0), method, length, allowed))
    return task.read(np.asarray(step(params, batch))[0], parts.space) or ""


def _classify(parts: Run, params: Any, study: Record) -> dict[str, Any]:
    trained = _trained(parts)
    single = [task for task in trained if task.name == "classify"]
    multi = next((task for task in trained if task.name == "findings"), None)
    if not single and multi is None:
        raise UserError(f"{parts.workdir} was not trained to classify; its tasks: {', '.join(t.name for t in trained)}")
    found: dict[str, Any] = {}
    first = jax.jit(parts.system.first_logits)
    if multi:
        names = multi.classes or parts.labels()
        asked = dataclasses.replace(study, labels=dict.fromkeys(names, NEGATIVE))
        sequences = [multi.sequence(asked, name, parts.space) for name in names]
        said = _probabilities(first(params, _batch(parts, multi, sequences, study)), multi.choices(parts.space))
        found["findings"] = {
            name: round(p[POSITIVE] / (p[POSITIVE] + p[NEGATIVE]), 4) for name, p in zip(names, said, strict=True)
        }
    for task in single:
        batch = _batch(parts, task, [task.sequence(study, task.classes[0], parts.space)], study)
        said = _probabilities(first(params, batch), task.choices(parts.space))[0]
        found.setdefault("classes", {})[task.field] = {name: round(p, 4) for name, p in said.items()}
    return found


def _probabilities(logits: jax.Array, choices: dict[str, int]) -> list[dict[str, float]]:
    rows = jax.nn.softmax(logits[:, np.array(list(choices.values()))].astype(jnp.float32))
    return [dict(zip(choices, map(float, row), strict=True)) for row in np.asarray(rows)]


def _batch(parts: Run, task: Task, sequences: Sequence, study: Record) -> dict[str, np.ndarray]:
    spec = parts.spec.plain()
    images, view_mask, _, _ = inputs.load(study, (task,), spec)
    examples = [Example(images, view_mask, (sequence,), 0, 0, i) for i, sequence in enumerate(sequences)]
    batch = collate(examples, spec)
    return {key: value for key, value in batch.items() if key not in ("task", "dataset", "index", "_mask", "segment")}


def _trained(parts: Run) -> list[Task]:
    """The tasks with the options they were trained with."""
    entries = parts.config.data.train.values()
    return [tasks.build({"name": name, **options}) for entry in entries for name, options in entry.tasks.items()]


def _one(parts: Run, name: str) -> Task:
    trained = {task.name: task for task in _trained(parts)}
    if name not in trained:
        raise UserError(f"{parts.workdir} was not trained for task {name!r}; its tasks: {', '.join(sorted(trained))}")
    return trained[name]


def _readable(found: dict[str, Any]) -> str:
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            for name, inner in value.items():
                shown = (
                    ", ".join(f"{k} {v:.2f}" for k, v in inner.items()) if isinstance(inner, dict) else f"{inner:.2f}"
                )
                lines.append(f"  {name:<28}{shown}")
        elif key != "task":
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(main))
