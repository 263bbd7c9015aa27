import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.evaluation import baselines, captioning

TRAIN = ["clear lungs", "clear lungs", "large effusion", "cardiomegaly"]


def test_most_frequent_and_random():
    assert baselines.most_frequent(TRAIN, 3) == ["clear lungs"] * 3
    drawn = baselines.random_choice(TRAIN, 200, seed=1)
    assert set(drawn) == set(TRAIN)
    assert drawn == baselines.random_choice(TRAIN, 200, seed=1) != baselines.random_choice(TRAIN, 200, seed=2)


def test_candidates_are_distinct_and_start_with_the_frequent():
    train = ["a"] * 5 + ["b"] * 3 + [f"r{i}" for i in range(50)]
    candidates = baselines.constant_candidates(train, frequent=2, drawn=10)
    assert candidates[:2] == ["a", "b"]
    assert len(set(candidates)) == len(candidates) == 12
    assert candidates == baselines.constant_candidates(train, frequent=2, drawn=10)


def test_best_constant_maximises_its_metric():
    validation = [["large effusion seen"], ["large effusion"], ["clear lungs"]]

    def score(predictions, references):
        return captioning.rouge_l(predictions, references).point()["rouge_l"]

    assert baselines.best_constant(sorted(set(TRAIN)), validation, score) == "large effusion"


def test_nearest_image():
    features = np.eye(4, dtype=np.float32)
    assert baselines.nearest_image(features, TRAIN, features[[2, 0]] * 7) == ["large effusion", "clear lungs"]


def test_nearest_text():
    questions = ["is there an effusion", "which organ is this"]
    assert baselines.nearest_text(questions, ["yes", "lung"], ["what organ is shown"]) == ["lung"]


def test_majority_answer_by_kind():
    kinds, answers = ["closed", "closed", "closed", "open"], ["no", "no", "yes", "liver"]
    assert baselines.majority_answer(kinds, answers, ["open", "closed", "unseen"]) == ["liver", "no", "no"]


def test_question_only_learns_the_questions():
    questions = ["is there an effusion CHEST", "which organ is this ABD"] * 5
    assert baselines.question_only(questions, ["yes", "liver"] * 5, ["which organ ABD"]) == ["liver"]


def test_pixels_and_their_regression():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 120, (64, 48)) + 100 * (i % 2) for i in range(40)]
    features = baselines.pixels([image.astype(np.uint8) for image in images])
    assert features.shape == (40, 1024) and 0 <= features.min() <= features.max() <= 1
    probabilities = baselines.pixel_regression(features[:30], np.arange(30) % 2, features[30:])
    assert (probabilities.argmax(1) == np.arange(10) % 2).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_pixels_take_channels():
    assert baselines.pixels([np.zeros((40, 40, 1), np.uint8), np.full((40, 40, 3), 255, np.uint8)]).shape == (2, 1024)


def test_empty_training_is_refused():
    for call in (
        lambda: baselines.most_frequent([], 1),
        lambda: baselines.random_choice([], 1),
        lambda: baselines.constant_candidates([]),
        lambda: baselines.nearest_text([], [], ["a"]),
        lambda: baselines.nearest_image(np.zeros((0, 2)), [], np.zeros((1, 2))),
    ):
        with pytest.raises(UserError, match="at least one training sample"):
            call()
