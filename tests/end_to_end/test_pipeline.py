"""Train, evaluate and predict through the command line, and what it says to wrong input."""

import json

import cv2
import numpy as np
import pytest
from small_run import CONFIG, SMALL

from data_pipelines.read import PreparedSplit
from launch.main import main
from launch.predict import read_study
from unimedvlp.training.metrics_file import read_metrics


def test_training_leaves_everything_that_others_need(workdir):
    for name in (
        "config.json",
        "classes.json",
        "tokenizer.json",
        "metrics.jsonl",
        "tensorboard",
        "best",
        "checkpoints",
    ):
        assert (workdir / name).exists(), name
    rows = read_metrics(workdir)
    assert list(rows) == [2, 4, 6] and rows[6]["loss"] < rows[2]["loss"]
    assert {"report/cider", "findings/accuracy", "answer/accuracy_all", "summarise/rouge_l"} <= set(rows[6])
    assert {"checkpoints/4", "checkpoints/6"} == {f"checkpoints/{p.name}" for p in (workdir / "checkpoints").iterdir()}


def test_evaluate_writes_page_results_and_predictions(workdir, data, capsys):
    names = ["report", "findings", "summarise"]
    assert main(["evaluate", "--workdir", str(workdir), "--data", str(data), "--only", *names]) == 0
    shown = capsys.readouterr().out
    assert "best constant by CIDEr" in shown and "model, images shuffled" in shown
    out = workdir / "evaluation" / "test"
    page = (out / "index.html").read_text()
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org", "") and "data:image" in page
    results = json.loads((out / "results.json").read_text())
    assert set(results) == set(names)
    assert "| best constant by CIDEr |" in (out / "results.md").read_text()
    constant = results["report"]["scores"]["best constant by CIDEr"]
    assert constant["cider"]["low"] <= constant["cider"]["value"] <= constant["cider"]["high"]
    assert "model, images shuffled" not in results["summarise"]["scores"]  # it sees no image
    studies = {record.study_id for record in PreparedSplit(data / "synthetic/by-patient/1.0.0", "test")}
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert {row["study_id"] for row in rows} == studies and all("report" in row["truth"] for row in rows)


def test_modality_comes_from_the_file_else_it_is_a_radiograph(tmp_path):
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    (tmp_path / "b.dcm").write_bytes(pytest.importorskip("pydicom").examples.get_path("ct").read_bytes())
    assert read_study([tmp_path / "a.png"]).modality == "xray"
    assert read_study([tmp_path / "b.dcm"]).modality == "ct"
    assert read_study([tmp_path / "b.dcm"], modality="mr").modality == "mr"
    assert read_study([], text="Clear lungs.").modality == "text"


@pytest.mark.parametrize("kind", ["png", "jpg", "dicom"])
def test_predict_reads_png_jpeg_and_dicom(workdir, tmp_path, capsys, kind):
    picture = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    path = tmp_path / f"image.{kind}"
    if kind == "dicom":
        path.write_bytes(pytest.importorskip("pydicom").examples.get_path("ct").read_bytes())
    else:
        path.write_bytes(cv2.imencode(f".{kind}", picture)[1].tobytes())
    assert main(["predict", "--model", str(workdir), "--task", "classify", "--image", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["classes"]["modality"]) == {"xray", "ct", "fundus"}
    assert sum(found["classes"]["modality"].values()) == pytest.approx(1, abs=1e-3)
    assert "cardiomegaly" in found["findings"] and "heart" not in found["findings"]
    assert all(0 <= p <= 1 for p in found["findings"].values())


def test_predict_writes_reports_answers_and_summaries(workdir, data, tmp_path, capsys):
    study = next(r for r in PreparedSplit(data / "synthetic/by-patient/1.0.0", "test") if len(r.images) == 2)
    paths = [tmp_path / f"{view}.png" for view in study.views]
    for path, image in zip(paths, study.images, strict=True):
        path.write_bytes(image)
    both = ["--image", str(paths[0]), "--image", str(paths[1]), "--json"]
    model = ["predict", "--model", str(workdir), "--task"]
    assert main([*model, "report", *both]) == 0
    assert isinstance(json.loads(capsys.readouterr().out)["report"], str)
    assert main([*model, "vqa", *both, "--question", "Is the heart large?"]) == 0
    assert json.loads(capsys.readouterr().out)["question"] == "Is the heart large?"
    assert main([*model, "summarise", "--text", "The heart is large."]) == 0
    assert capsys.readouterr().out.startswith("impression:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "--model", "WORKDIR", "--task", "report"], "needs --image"),
        (["predict", "--model", "WORKDIR", "--task", "vqa", "--image", CONFIG], "neither PNG, JPEG nor DICOM"),
        (["predict", "--model", "WORKDIR", "--task", "report", "--image", "no.png"], "cannot read image no.png"),
        (["predict", "--model", "DATA", "--task", "summarise", "--text", "x"], "expected a working directory"),
        (["evaluate", "--workdir", "WORKDIR", "--data", "DATA", "--only", "x"], "no entry ['x'] in evals"),
        (["evaluate", "--workdir", "WORKDIR", "--data", "/nowhere"], "is no prepared data set"),
        (
            ["evaluate", "--workdir", "WORKDIR", "--data", "DATA", "--set", "system.model.width=32"],
            "another architecture",
        ),
        (["train", "--config", CONFIG, "--workdir", "W", "--set", "stps=3"], "did you mean 'steps'"),
        (["train", "--config", "configs/nothing.py", "--workdir", "W"], "no config file"),
        (["train", "--config", CONFIG, "--workdir", "gs://bucket/run"], "through a mount"),
        (["trian"], "did you mean 'train'"),
    ],
)
def test_wrong_input_gets_one_line(workdir, data, capsys, arguments, message):
    arguments = [{"WORKDIR": str(workdir), "DATA": str(data)}.get(a, a) for a in arguments]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_checkpoint_of_another_architecture_is_named(workdir, data, tmp_path, capsys):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(workdir, other)
    overrides = [item for item in SMALL if "width" not in item]
    arguments = ["train", "--config", CONFIG, "--data", str(data), "--workdir", str(other), "--set", *overrides]
    assert main([*arguments, "system.model.width=32", "steps=8"]) == 2
    assert "another architecture" in capsys.readouterr().err
    assert main(["predict", "--model", str(other), "--task", "summarise", "--text", "Clear lungs."]) == 2
    assert "another architecture" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "prepare", "quickstart", "doctor"])
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and f"unimedvlp {command}" in shown and "example" in shown


def test_version_doctor_and_usage(capsys):
    assert main(["--version"]) == 0 and capsys.readouterr().out.startswith("unimedvlp 0.")
    assert main([]) == 0 and "quickstart" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert "devices: 1 x cpu" in capsys.readouterr().out
