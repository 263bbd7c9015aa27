"""Boxes and masks through the command line: train, evaluate, predict."""

import json
import shutil

import cv2
import jax
import numpy as np
import pytest
from small_run import ROOT, SMALL

from data_pipelines.read import PreparedSplit
from launch.main import main
from unimedvlp import runs

PATH = "synthetic/by-patient/1.0.0"
REGIONS = ROOT / "tests/end_to_end/regions_config.py"


@pytest.fixture(scope="module", autouse=True)
def little_optimization():
    """Much is compiled here and little computed."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def regions(data, tmp_path_factory):
    """A model trained for six steps on boxes, masks and phrases."""
    folder = tmp_path_factory.mktemp("runs") / "regions"
    arguments = ["train", "--config", str(REGIONS), "--data", str(data), "--workdir", str(folder)]
    assert main([*arguments, "--set", *SMALL]) == 0
    return folder


def test_evaluate_scores_boxes_and_masks_beside_trivial_methods(regions, data):
    assert main(["evaluate", "--workdir", str(regions), "--data", str(data)]) == 0
    out = regions / "evaluation" / "test"
    scores = {name: entry["scores"] for name, entry in json.loads((out / "results.json").read_text()).items()}
    assert {"map", "ap50", "froc"} <= set(scores["detect"]["model"]) and "dice" in scores["segment"]["model"]
    assert {"mean boxes", "nearest image's boxes", "model, images shuffled"} <= set(scores["detect"])
    assert scores["segment"]["mean mask"]["dice"]["value"] > 0.2
    assert (out / "index.html").read_text().count("<img") > 12
    for row in map(json.loads, (out / "detect.jsonl").read_text().splitlines()):
        assert row["prediction"] is not None  # the grammar lets nothing malformed through
        assert len(row["prediction"]["boxes"]) == len(row["prediction"]["scores"]) <= 4


@pytest.mark.parametrize(
    ("task", "kind"), [("detect", "png"), ("segment", "jpg"), ("refer", "dicom"), ("classify", "png")]
)
def test_predict_writes_coco_and_a_picture(regions, workdir, tmp_path, capsys, kind, task):
    path = tmp_path / f"image.{kind}"
    if kind == "dicom":
        path.write_bytes(pytest.importorskip("pydicom").examples.get_path("ct").read_bytes())
        height, width = 128, 128
    else:
        height, width = 60, 90
        path.write_bytes(cv2.imencode(f".{kind}", np.tile(np.arange(width, dtype=np.uint8), (height, 1)))[1].tobytes())
    names = ["--name", "heart", "--name", "left lung"] if task in ("segment", "refer") else []
    model = str(workdir if task == "classify" else regions)
    arguments = ["predict", "--model", model, "--task", task, "--image", str(path), "--out", str(tmp_path / "out")]
    assert main([*arguments, *names, "--score", "0"]) == 0
    assert capsys.readouterr().out
    found = json.loads((tmp_path / "out/prediction.json").read_text())
    assert cv2.imread(str(tmp_path / "out/overlay.png")).shape[2] == 3
    if task == "classify":
        assert "findings" in found
        return
    assert found["images"] == [{"id": 1, "file_name": path.name, "height": height, "width": width}]
    ids = {entry["id"] for entry in found["categories"]}
    for row in found["annotations"]:
        x, y, w, h = row["bbox"]
        assert x >= 0 and y >= 0 and x + w <= width + 0.1 and y + h <= height + 0.1 and row["category_id"] in ids
        if task != "detect":
            assert runs.decode(row["segmentation"]).shape == (height, width)
    coco = pytest.importorskip("faster_coco_eval")
    assert len(coco.COCO(found).anns) == len(found["annotations"])


def test_predict_uses_the_decoder_that_leads_in_evaluations(regions, data, tmp_path, capsys):
    image, run = tmp_path / "image.png", shutil.copytree(regions, tmp_path / "run")
    image.write_bytes(PreparedSplit(data / PATH, "test")[0].images[0])
    config = json.loads((run / "config.json").read_text())
    for entry in config["evals"].values():
        entry["decoders"] = ["decomposed", "composed"]
    (run / "config.json").write_text(json.dumps(config))
    arguments = ["predict", "--model", str(run), "--task", "detect", "--image", str(image)]
    assert main(arguments) == 2
    assert "has no decomposed decoder" in capsys.readouterr().err
    assert main([*arguments, "--decoder", "composed"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "segment", "--image", "IMAGE"], "give --name"),
        (["--task", "segment", "--image", "IMAGE", "--name", "hart"], "unknown class 'hart'; nearest: heart"),
        (["--task", "detect"], "needs --image"),
        (["--task", "detect", "--image", "IMAGE", "--decoder", "decomposed"], "has no decomposed decoder"),
        (["--task", "report", "--image", "IMAGE", "--out", "x"], "--out is for classify, detect, segment, refer"),
        (["--task", "report", "--image", "IMAGE"], "was not trained for task 'report'"),
    ],
)
def test_wrong_input_gets_one_line(regions, data, tmp_path, capsys, arguments, message):
    image = tmp_path / "image.png"
    image.write_bytes(PreparedSplit(data / PATH, "test")[0].images[0])
    arguments = [{"IMAGE": str(image)}.get(a, a) for a in arguments]
    assert main(["predict", "--model", str(regions), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
