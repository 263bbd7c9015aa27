import pytest

from unimedvlp.errors import UserError
from unimedvlp.evaluation import vqa


@pytest.mark.parametrize(
    "answer, normal",
    [
        ("Yes.", "yes"),
        ("The X-ray", "x ray"),
        ("left / right", "left right"),
        ("5.6 cm.", "5.6 cm"),
        ("Two", "2"),
        (4, "4"),
        ("  No,  ", "no"),
        ("a lesion in the liver", "lesion in liver"),
        ("", ""),
    ],
)
def test_normalisation(answer, normal):
    assert vqa.normalise(answer) == normal
    assert vqa.normalise(normal) == normal


def test_accuracy_by_type():
    metric = vqa.accuracy(["yes", "no", "Liver", "the left lung"], ["Yes", "yes", "liver", "right lung"],
                          ["CLOSED ", "closed", "OPEN", "open"])  # fmt: skip
    values = metric.values()
    assert {n: values[n].value for n in ("accuracy_open", "accuracy_closed", "accuracy_all")} == {
        "accuracy_open": 0.5, "accuracy_closed": 0.5, "accuracy_all": 0.5}  # fmt: skip
    assert values["f1_open"].value == pytest.approx((1 + 0.5) / 2)
    assert values["recall_open"].value == pytest.approx((1 + 0.5) / 2)
    assert (values["accuracy_open"].count, values["accuracy_all"].count) == (2, 4)


def test_identical_is_perfect_and_empty_is_wrong():
    answers = ["yes", 4, "left lung"]
    types = ["closed", "open", "open"]
    assert set(vqa.accuracy(answers, answers, types).point().values()) == {1.0}
    assert set(vqa.accuracy([""] * 3, answers, types).point().values()) == {0.0}


def test_overlap():
    assert vqa.overlap("right upper lobe", "upper lobe") == pytest.approx((0.8, 1.0))
    assert vqa.overlap("", "lobe") == (0.0, 0.0)


def test_a_missing_type_is_undefined():
    values = vqa.accuracy(["yes"], ["yes"], ["closed"]).values()
    assert values["accuracy_open"].value != values["accuracy_open"].value
    assert values["accuracy_open"].count == 0


def test_bad_input_is_named():
    with pytest.raises(UserError, match="0 predictions"):
        vqa.accuracy([], [], [])
    with pytest.raises(UserError, match="1 answers"):
        vqa.accuracy(["a", "b"], ["a"], ["open"])
    with pytest.raises(UserError, match="'maybe'"):
        vqa.accuracy(["a"], ["a"], ["maybe"])
