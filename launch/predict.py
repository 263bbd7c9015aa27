"""One study in, a prediction out: a report, an answer, a summary, probabilities of findings and classes, boxes or masks."""

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
from launch.find import KINDS, Object, coco, find, write_picture
from launch.main import run
from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.evaluation.evaluator import DECODERS
from unimedvlp.records import MODALITIES, NEGATIVE, POSITIVE, Question, Record
from unimedvlp.tasks.base import Task

EXAMPLE = """examples:
  unimedvlp predict --model runs/synthetic --task report --image frontal.png --image lateral.png
  unimedvlp predict --model runs/synthetic --task vqa --image study.dcm --question "Is there a pleural effusion?"
  unimedvlp predict --model runs/synthetic --task summarise --text "The heart is enlarged. No effusion."
  unimedvlp predict --model runs/synthetic --task classify --image frontal.png --json
  unimedvlp predict --model runs/regions --task detect --image study.dcm --out found
  unimedvlp predict --model runs/regions --task refer --image frontal.png --name heart --out found

With --out, classify, detect, segment and refer write FOLDER/prediction.json, a data set of one image in COCO's format, and
FOLDER/overlay.png, the image with what was found painted on."""
TASKS = ("report", "vqa", "summarise", "classify", *KINDS)
PICTURED = ("classify", *KINDS)


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
    parser.add_argument("--name", action="append", default=[], help="class to look for; repeat it")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a box that counts (default: 0.3)")
    parser.add_argument(
        "--decoder",
        choices=DECODERS,
        help="which decoder finds boxes and masks (default: the one that leads in evaluations)",
    )
    parser.add_argument("--out", type=Path, help="folder for prediction.json and overlay.png")
    parser.add_argument("--modality", choices=MODALITIES, help="default: from the DICOM file, else xray")
    parser.add_argument("--which", default="best", choices=("best", "newest"), help="which weights (default: best)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    parts = Run.load(options.model, Path("data"), ["mesh={'data': 1}"])
    study = read_study(options.image, options.question, options.text, options.modality)
    if options.out and options.task not in PICTURED:
        raise UserError(f"--out is for {', '.join(PICTURED)}; task {options.task} prints text")
    params = parts.params(options.which)
    if options.task in KINDS:
        objects, found = _find(parts, params, options, study)
        readable = (
            "\n".join(f"{one.name:<28}{one.score:.2f}  {_corners(one.box)}" for one in objects) or "nothing found"
        )
    else:
        objects, found = [], predict(parts, params, options.task, study)
        readable = _readable(found)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "prediction.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        write_picture(options.out / "overlay.png", study.images[0], objects, _headline(found))
    print(json.dumps(found, indent=1, ensure_ascii=False) if options.json else readable)
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


def _find(parts: Run, params: Any, options: argparse.Namespace, study: Record) -> tuple[list[Object], dict[str, Any]]:
    """The objects that count, and the same as COCO's JSON."""
    if not study.images:
        raise UserError(f"task {options.task} needs --image")
    trained = dict(_trained(parts))
    task = next((trained[name] for name in KINDS[options.task] if name in trained), None)
    if task is None:
        raise UserError(f"{parts.workdir} was not trained to {options.task}; its tasks: {', '.join(sorted(trained))}")
    leading = {parts.task(name).name: parts.decoders(name)[0] for name in parts.config.evals}
    decoder = options.decoder or leading.get(task.name, DECODERS[0])
    objects, extra = find(parts, params, task, study, options.name, decoder)
    objects = [one for one in objects if one.score >= options.score]
    shape = image_io.decode(study.images[0], channels=1).shape[:2]
    found = coco(objects, options.image[0], shape, parts.space.vocabulary.classes)
    return objects, {"info": {"task": options.task} | extra} | found


def _corners(box: np.ndarray) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in zip(("ymin", "xmin", "ymax", "xmax"), box, strict=True))


def _headline(found: dict[str, Any]) -> str:
    """What a picture says of the whole image: its class, or its likeliest finding."""
    if "info" in found:
        return found["info"].get("class", "")
    groups = [*found.get("classes", {}).values(), *filter(None, [found.get("findings")])]
    return "; ".join(
        f"{name} {p:.2f}" for name, p in (max(group.items(), key=lambda item: item[1]) for group in groups)
    )


def _write(parts: Run, params: Any, task: Task, study: Record) -> str:
    unit = 0 if task.name == "answer" else None
    batch = _batch(parts, task, [task.sequence(study, unit, parts.space)], study)
    entry = next((e for e in parts.config.evals.values() if e.task["name"] == task.name), {})
    method = make_method(entry.get("method", {"name": "greedy"}), "evals.method")
    length = parts.spec.response_length
    allowed = task.grammar(parts.space, length)
    system = parts.system_for(task)
    step = jax.jit(lambda p, b: system.generate(p, b, jax.random.key(0), method, length, allowed))
    return task.read(np.asarray(step(params, batch))[0], parts.space) or ""


def _classify(parts: Run, params: Any, study: Record) -> dict[str, Any]:
    trained = _trained(parts)
    single = [task for name, task in trained if name == "classify"]
    multi = next((task for name, task in trained if name == "findings"), None)
    if not single and multi is None:
        names = ", ".join(name for name, _ in trained)
        raise UserError(f"{parts.workdir} was not trained to classify; its tasks: {names}")
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


def _trained(parts: Run) -> list[tuple[str, Task]]:
    """The tasks with the options they were trained with, by the names that configs give them."""
    entries = parts.config.data.train.values()
    return [
        (name, tasks.build({"name": name, **options})) for entry in entries for name, options in entry.tasks.items()
    ]


def _one(parts: Run, name: str) -> Task:
    trained = dict(_trained(parts))
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
