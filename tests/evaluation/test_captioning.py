import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import reference_coco
from coco_texts import pairs

from unimedvlp.errors import UserError
from unimedvlp.evaluation import captioning
from unimedvlp.evaluation.text_cleaning import clean_r2gen, reference, vocabulary

GOLDEN = json.loads(Path(__file__).with_name("golden_coco.json").read_text())
METRICS = (captioning.bleu, captioning.rouge_l, captioning.cider)


def scores(predictions, references):
    return {name: value for metric in METRICS for name, value in metric(predictions, references).point().items()}


def test_equals_the_coco_caption_package():
    predictions, references = pairs()
    ours = scores(predictions, references)
    assert [ours[f"bleu_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(GOLDEN["bleu"], abs=1e-12)
    for name, values in (("rouge_l", captioning.rouge_l_values), ("cider", captioning.cider_values)):
        assert ours[name] == pytest.approx(GOLDEN[name][0], abs=1e-12)
        np.testing.assert_allclose(values(predictions, references), GOLDEN[name][1], atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_equals_the_definitions(seed):
    predictions, references = pairs(14, seed)
    ours = scores(predictions, references)
    assert [ours[f"bleu_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(
        reference_coco.bleu(predictions, references), abs=1e-9
    )
    plain = [reference_coco.rouge_l(p, r) for p, r in zip(predictions, references, strict=True)]
    np.testing.assert_allclose(captioning.rouge_l_values(predictions, references), plain, atol=1e-9)
    plain = reference_coco.cider(predictions, references)
    np.testing.assert_allclose(captioning.cider_values(predictions, references), plain, atol=1e-9)


def test_equals_pycocoevalcap_on_iu_xray():
    """Runs where both the real package and the real reports are at hand."""
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu").Bleu(4)
    cider = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge").Rouge()
    table = Path(os.environ.get("UNIMEDVLP_DATA", "missing")) / "iu_xray_full" / "indiana_reports.csv"
    if not table.is_file():
        pytest.skip("UNIMEDVLP_DATA does not hold iu_xray_full")
    with table.open(newline="") as file:
        reports = [clean_r2gen(row["findings"]) for row in csv.DictReader(file) if row["findings"].strip()]
    references, predictions = [[text] for text in reports[:300]], reports[300:600]
    theirs = {i: texts for i, texts in enumerate(references)}, {i: [text] for i, text in enumerate(predictions)}
    ours = scores(predictions, references)
    assert [ours[f"bleu_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(bleu.compute_score(*theirs)[0], abs=1e-9)
    assert ours["rouge_l"] == pytest.approx(rouge.compute_score(*theirs)[0], abs=1e-9)
    assert ours["cider"] == pytest.approx(cider.compute_score(*theirs)[0], abs=1e-9)


def test_identical_predictions_are_perfect():
    _, references = pairs(20)
    references = [[texts[0]] for texts in references]
    perfect = scores([texts[0] for texts in references], references)
    assert perfect["cider"] == pytest.approx(10)
    assert all(perfect[name] == pytest.approx(1, abs=1e-6) for name in ("bleu_1", "bleu_4", "rouge_l"))


def test_empty_predictions_score_nothing():
    _, references = pairs(20)
    assert all(value < 1e-6 for value in scores([""] * 20, references).values())


@pytest.mark.parametrize(
    "predictions, references", [([], []), (["a"], []), (["a"], [[]]), (["a"], ["a"]), (["a"], [[" "]])]
)
def test_bad_input_is_named(predictions, references):
    for metric in METRICS:
        with pytest.raises(UserError, match="references"):
            metric(predictions, references)


def test_resampled_bleu_is_the_bleu_of_the_resample():
    predictions, references = pairs(12)
    metric = captioning.bleu(predictions, references)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 12, 12)
    fast = metric.score(np.bincount(drawn, minlength=12)[None].astype(float))
    slow = captioning.bleu([predictions[i] for i in drawn], [references[i] for i in drawn]).point()
    assert {name: value[0] for name, value in fast.items()} == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize(
    "raw, clean",
    [
        ("The heart is normal. No effusion.", "the heart is normal . no effusion ."),
        ("1. Clear lungs. 2. No effusion.", "clear lungs . no effusion ."),
        ("Heart, lungs; (normal)... Well-expanded!", "heart lungs normal . well-expanded ."),
        ("XXXX and/or 5.5 cm", "xxxx andor 55 cm ."),
        ("", ""),
        (" . ", ""),
    ],
)
def test_r2gen_cleaning(raw, clean):
    assert clean_r2gen(raw) == clean


def test_rare_words_and_length_of_references():
    words = vocabulary(["a b", "a b", "a c"], threshold=2)
    assert words == {"a", "b", "<unk>"}
    assert reference("a c b", words) == "a <unk> b"
    assert len(reference("a " * 100, words).split()) == 60
