"""VQA-Med 2019 in ImageCLEF's layout and by split."""

import pytest
from bad_input_text import File, Layout, bad_input, columns, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.vqa_med_2019 import FOLDERS, SHORT, TEST, TOPICS, VqaMed2019
from unimedvlp.errors import UserError
from unimedvlp.records import Question

TEST_FILE = f"{TEST}/VQAMed2019_Test_Questions_w_Ref_Answers.txt"


def lines(split, topic, test=False):
    middle = f"{topic.lower()}|" if test else ""
    return "".join(
        f'synpic{split}{i}|{middle}is this "the {topic.lower()}, café {i}?|{("no", "yes", "none")[i]}\n'
        for i in range(3)
    )


def image_clef(source):
    for k, (split, name) in enumerate(FOLDERS.items()):
        short = SHORT[split]
        for i, topic in enumerate(TOPICS):
            save(source / name / "QAPairsByCategory" / f"C{i + 1}_{topic}_{short}.txt", lines(split, topic))
        for i in range(3):
            save(source / name / f"{short.capitalize()}_images" / f"synpic{split}{i}.jpg", jpeg(10 * k + i))
    save(source / TEST_FILE, "".join(lines("test", topic, test=True) for topic in TOPICS))
    for i in range(3):
        save(source / TEST / "VQAMed2019_Test_Images" / f"synpictest{i}.jpg", jpeg(20 + i))


def by_split(source):
    for k, (split, short) in enumerate(SHORT.items()):
        for topic in TOPICS:
            save(source / short / "QA" / f"{topic}.csv", "image|question|answer\n" + lines(split, topic))
        for i in range(3):
            save(source / short / "images" / f"synpic{split}{i}.jpg", jpeg(10 * k + i))


BARS = columns("|", "image", "question", "answer")
FOUR = columns("|", "image", "category", "question", "answer")
TRAIN = f"{FOLDERS['train']}/QAPairsByCategory/C1_Modality_train.txt"
LAYOUT = Layout(
    VqaMed2019(),
    "official",
    image_clef,
    {
        TRAIN: File(BARS, "answer", swap=("image", "question"), path="image"),
        TEST_FILE: File(FOUR, "question", swap=("image", "question"), path="image"),
    },
    image=f"{TEST}/VQAMed2019_Test_Images/synpictest0.jpg",
)
test_bad_input = bad_input(LAYOUT)


@pytest.mark.parametrize("write", [image_clef, by_split])
def test_both_layouts_give_the_same(tmp_path, write):
    write(tmp_path / "source")
    splits = everything(VqaMed2019(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: len(records) for split, records in splits.items()} == {"train": 3, "validation": 3, "test": 3}
    record = splits["validation"][2]
    assert record.study_id == "synpicvalidation2/validation" and len(record.qa) == 4
    assert record.qa[3] == Question('is this "the abnormality, café 2?', "none", "open", "abnormality")
    assert splits["test"][1].qa[0] == Question('is this "the modality, café 1?', "yes", "closed", "modality")


def test_three_categories(tmp_path):
    image_clef(tmp_path / "source")
    summary = prepare(VqaMed2019(), tmp_path / "source", tmp_path / "out", "three-categories")
    assert {split: counts["questions"] for split, counts in summary.splits.items()} == dict.fromkeys(SHORT, 9)


def test_a_line_without_an_answer_and_one_with_a_bar(tmp_path):
    image_clef(tmp_path / "source")
    save(tmp_path / "source" / TRAIN, "synpictrain0|what is it\nsynpictrain1|which?|ct|mr\n")
    splits = everything(VqaMed2019(), tmp_path / "source", tmp_path / "out", "official")
    found = {record.patient_id: record.qa[0] for record in splits["train"]}
    assert found["synpictrain1"].answer == "ct|mr" and found["synpictrain0"].topic == "plane"


def test_images_that_are_still_packed(tmp_path):
    image_clef(tmp_path)
    (tmp_path / TEST / "VQAMed2019_Test_Images").rename(tmp_path / "packed")
    with pytest.raises(UserError, match=r"expected VQAMed2019Test/VQAMed2019_Test_Images/"):
        list(VqaMed2019().records(tmp_path, "official"))
