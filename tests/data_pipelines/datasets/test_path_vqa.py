"""PathVQA: the owner's JSON, rewritten lists, and the pickle that is not opened."""

import json
import pickle
import re
import subprocess
import sys

import pytest
from bad_input_text import JSON, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.path_vqa import SHORT, PathVqa
from unimedvlp.errors import UserError
from unimedvlp.records import Question


def rows(short):
    return [
        {"image": f"{short}_0000", "question": "What is composed of café nests?", "answer": "carcinoma"},
        {"image": f"{short}_0000", "question": "Is it benign?", "answer": "no"},
        {"image": f"{short}_0000", "question": "Is it benign?", "answer": "no"},
        {"image": f"{short}_0001", "question": "Is it benign?", "answer": "yes"},
    ]


def images(source):
    for i, short in enumerate(SHORT.values()):
        for k in range(2):
            save(source / "pvqa" / "images" / short / f"{short}_{k:04d}.jpg", jpeg(10 * i + k))


def write(source):
    images(source)
    for short in SHORT.values():
        save(source / "pvqa" / "qas" / short / f"{short}_qa.json", JSON.dump([*rows(short)[:2], rows(short)[3]]))


def lxmert(source):
    images(source)
    for short in SHORT.values():
        content = [
            {
                "img_id": name,
                "sentf": {"pvqa": [row["question"] for row in rows(short) if row["image"] == name]},
                "labelf": {"pvqa": [{row["answer"]: 1} for row in rows(short) if row["image"] == name]},
            }
            for name in (f"{short}_0000", f"{short}_0001", f"{short}_0002")
        ]
        save(source / "pvqa" / f"pvqa_{short}.json", JSON.dump(content))


FILE = File(JSON, "answer", swap=("image", "question"), path="image")
FILES = {f"pvqa/qas/{short}/{short}_qa.json": FILE for short in SHORT.values()}
test_bad_input = bad_input(Layout(PathVqa(), "official", write, FILES, "pvqa/images/test/test_0000.jpg"))


@pytest.mark.parametrize("layout", [write, lxmert])
def test_both_layouts_give_the_same(tmp_path, layout):
    layout(tmp_path / "source")
    splits = everything(PathVqa(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: len(records) for split, records in splits.items()} == {"train": 2, "validation": 2, "test": 2}
    record = splits["test"][0]
    assert record.study_id == "test_0000/test" and record.modality == "pathology"
    assert record.qa == (
        Question("What is composed of café nests?", "carcinoma", "open"),
        Question("Is it benign?", "no", "closed"),
    )


def test_repeated_questions_count_once(tmp_path):
    lxmert(tmp_path / "source")
    summary = prepare(PathVqa(), tmp_path / "source", tmp_path / "out", "official")
    assert summary.set_aside == {"the same question and answer again": 3}
    assert {split: counts["questions"] for split, counts in summary.splits.items()} == dict.fromkeys(SHORT, 3)


class Bomb:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return (exit, (3,))


def test_a_pickle_is_not_opened(tmp_path):
    images(tmp_path)
    for short in SHORT.values():
        save(tmp_path / "pvqa" / "qas" / short / f"{short}_qa.pkl", pickle.dumps(Bomb()))
    with pytest.raises(
        UserError, match=r"train_qa.pkl is a pickle, .*rewrite it once: python -c .*train_qa.json"
    ) as error:
        list(PathVqa().records(tmp_path, "official"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [[{"image": "a", "question": "q?", "answer": "yes"}], Bomb()])
def test_the_line_that_rewrites_a_pickle_runs_no_code_of_it(tmp_path, content):
    images(tmp_path)
    path = tmp_path / "pvqa" / "train_qa.pkl"
    save(path, pickle.dumps(content))
    with pytest.raises(UserError) as error:
        list(PathVqa().records(tmp_path, "official"))
    line = re.search(r'python -c "(.*)"', str(error.value))[1]
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
    if isinstance(content, Bomb):
        assert done.returncode == 1 and "TypeError" in done.stderr  # 3, were it opened
    else:
        assert done.returncode == 0 and json.loads(path.with_suffix(".json").read_text()) == content


def test_lists_that_do_not_fit_each_other(tmp_path):
    lxmert(tmp_path)
    path = tmp_path / "pvqa" / "pvqa_val.json"
    path.write_text(path.read_text().replace('"Is it benign?",', "", 1))
    with pytest.raises(
        UserError, match=r"pvqa_val.json: item 0: expected as many answers in labelf as questions in sentf"
    ):
        list(PathVqa().records(tmp_path, "official"))
