from unimedvlp.evaluation.captioning import Similarity
from unimedvlp.evaluation.consensus import consensus

CLEAR = "the lungs are clear no effusion"
SIMILARITY = Similarity([[CLEAR], ["the heart is enlarged"], ["no pneumothorax"], ["small left effusion is seen"]])


def test_the_sample_that_agrees_most_with_the_others():
    near = "the lungs are clear no effusion seen"
    assert consensus(["the heart is enlarged", CLEAR, near, CLEAR], SIMILARITY) == CLEAR
    other = "small left effusion is seen"
    assert consensus([other, "the heart is enlarged"], SIMILARITY) == other, "the first of equals"


def test_empty_samples_are_not_chosen_over_others():
    assert consensus(["", " ", "", CLEAR], SIMILARITY) == CLEAR
    assert consensus(["", " "], SIMILARITY) == ""
