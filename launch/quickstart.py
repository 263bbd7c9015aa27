"""The whole way on an embedded synthetic set: prepare, train, stop and resume, evaluate, predict on a held-out study."""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from data_pipelines.read import PreparedSplit
from launch import prepare
from launch.assemble import Run
from launch.evaluate import evaluate
from launch.main import run
from launch.predict import predict, read_study
from unimedvlp import config as configs
from unimedvlp.errors import UserError

EXAMPLE = """examples:
  unimedvlp quickstart
  unimedvlp quickstart --short --workdir runs/short"""
CONFIG = Path(__file__).parents[1] / "configs/pretrain/baseline_synthetic.py"


def main(argv: list[str]) -> int:
    """Run all five parts; ends by naming the page to look at."""
    parser = argparse.ArgumentParser(
        prog="unimedvlp quickstart",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workdir", default=Path("runs/quickstart"), type=Path, help="where everything is kept")
    parser.add_argument("--short", action="store_true", help="a few steps on a few studies, to see that all parts work")
    options = parser.parse_args(argv)
    begun, say = time.perf_counter(), Console().rule
    data, model = options.workdir / "data", options.workdir / "model"
    overrides = ["steps=40", "save_every=10", "optimizer.warmup=5"] if options.short else []
    config = configs.load(str(CONFIG))
    configs.override(config, overrides)

    say("1/5  prepare phantoms with reports, boxes, masks, questions and answers")
    prepare.main(["synthetic", "--out", str(data), "--studies", "200" if options.short else "1200"])

    say("2/5  train on five tasks, and stop half-way as a preempted machine would")
    command = [sys.executable, "-m", "launch.train", "--config", str(CONFIG), "--data", str(data)]
    command += ["--workdir", str(model), "--set", *overrides, "keep=2"]
    _train(command, model, stop_at=config.steps // 2)

    say("3/5  resume from the checkpoint with the same command")
    _train(command, model)

    say("4/5  evaluate on held-out patients, beside trivial baselines and shuffled images")
    parts = Run.load(model, data)
    page = evaluate(parts, "test", "newest", list(config.evals), model / "evaluation" / "test")

    say("5/5  predict on a held-out study")
    study = next(record for record in PreparedSplit(data / config.evals.report.path, "test") if len(record.images) > 1)
    paths = []
    for view, image in zip(study.views, study.images, strict=True):
        paths.append(options.workdir / f"{study.study_id}_{view}.png")
        paths[-1].write_bytes(image)
    shown = " ".join(f"--image {path}" for path in paths)
    print(f"unimedvlp predict --model {model} --which newest --task report {shown} --json")
    found = predict(parts, parts.params("newest"), "report", read_study(paths))
    print(json.dumps(found, indent=1), f"\nthe radiologist of the phantom wrote: {study.findings}")

    say(f"done in {(time.perf_counter() - begun) / 60:.1f} minutes")
    print(f"Now open the report: {page.resolve()}")
    return 0


def _train(command: list[str], model: Path, stop_at: int | None = None) -> None:
    """Run the training command as its own process; with `stop_at`, send SIGTERM once that step is saved."""
    process = subprocess.Popen(command)
    try:
        while process.poll() is None:
            saved = [int(path.name) for path in (model / "checkpoints").glob("[0-9]*") if path.name.isdigit()]
            if stop_at is not None and saved and max(saved) >= stop_at:
                process.send_signal(signal.SIGTERM)
                stop_at = None
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode:
        raise UserError(f"training ended with exit status {process.returncode}; its message is above")


if __name__ == "__main__":
    sys.exit(run(main))
