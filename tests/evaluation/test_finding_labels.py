import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unimedvlp.errors import UserError
from unimedvlp.evaluation.findings import agreement, finding_f1, label_report, presence, tagged
from unimedvlp.evaluation.lexicon import ABNORMAL, FINDINGS

P, N, U, X = "positive", "negative", "uncertain", "unmentioned"


@pytest.mark.parametrize(
    "text, finding, expected",
    [
        # affirmed
        ("There is a small left pleural effusion.", "Pleural Effusion", P),
        ("Heart size is mildly enlarged.", "Cardiomegaly", P),
        ("Stable cardiomegaly.", "Cardiomegaly", P),
        ("Old healed rib fractures.", "Fracture", P),
        ("Sternotomy wires are present.", "Support Devices", P),
        ("Biapical pleural thickening.", "Pleural Other", P),
        ("The mediastinum is widened.", "Enlarged Cardiomediastinum", P),
        # negated, forwards
        ("No pneumothorax.", "Pneumothorax", N),
        ("No evidence of focal consolidation, pneumothorax or pleural effusion.", "Pleural Effusion", N),
        ("Lungs are clear without focal consolidation.", "Consolidation", N),
        ("Negative for pneumonia.", "Pneumonia", N),
        ("There is no focal airspace opacity to suggest a pneumonia.", "Pneumonia", N),
        ("Neither effusion nor pneumothorax.", "Pneumothorax", N),
        # negated, backwards and inside
        ("A pleural effusion is not seen.", "Pleural Effusion", N),
        ("The consolidation has resolved.", "Consolidation", N),
        ("The heart is not enlarged.", "Cardiomegaly", N),
        ("The PICC line has been removed.", "Support Devices", N),
        # statements of the normal
        ("Heart size is within normal limits.", "Cardiomegaly", N),
        ("The lungs are clear.", "Lung Opacity", N),
        ("The cardiomediastinal silhouette is unremarkable.", "Cardiomegaly", N),
        # uncertain
        ("Possible small pleural effusion.", "Pleural Effusion", U),
        ("Bibasilar opacities may represent atelectasis.", "Atelectasis", U),
        ("Pneumonia cannot be excluded.", "Pneumonia", U),
        ("Cannot exclude pneumonia.", "Pneumonia", U),
        ("Findings suspicious for pneumonia.", "Pneumonia", U),
        ("Atelectasis versus infiltrate.", "Atelectasis", U),
        # pseudo-triggers
        ("No change in the left pleural effusion.", "Pleural Effusion", P),
        ("No significant interval change in cardiomegaly.", "Cardiomegaly", P),
        # ends of scope
        ("No pneumothorax but there is a pleural effusion.", "Pleural Effusion", P),
        ("No effusion, however bibasilar atelectasis is seen.", "Atelectasis", P),
        ("No acute disease except for mild edema.", "Edema", P),
        ("No pneumothorax. Left effusion.", "Pleural Effusion", P),
        ("no pneumothorax . left effusion .", "Pleural Effusion", P),
        # the nearest trigger decides
        ("No effusion, possible atelectasis.", "Atelectasis", U),
        ("Possible atelectasis without consolidation.", "Consolidation", N),
        # only looked for, another organ, not mentioned
        ("If there is concern for fracture consider rib series.", "Fracture", X),
        ("Small pericardial effusion.", "Pleural Effusion", X),
        ("The spine is straight.", "Pneumonia", X),
        # strongest mention of a report
        ("No effusion on the right. Small effusion on the left.", "Pleural Effusion", P),
        ("No effusion on the right. Possible effusion on the left.", "Pleural Effusion", U),
    ],
)
def test_context(text, finding, expected):
    assert label_report(text)[finding] == expected


def test_no_finding_is_the_absence_of_abnormal_ones():
    assert label_report("The lungs are clear. Pacemaker in place.")["No Finding"] == P
    assert label_report("Possible pneumonia.")["No Finding"] == N
    assert label_report("")["No Finding"] == P


REPORTS = ["Cardiomegaly.", "Small effusion and atelectasis.", "Clear lungs.", "Rib fracture. Pacemaker."]


def test_identical_reports_are_perfect():
    point = finding_f1(REPORTS, REPORTS).point()
    assert all(point[name] == 1 for name in ("f1_micro", "f1_macro", "precision_micro", "recall_macro", "f1/Fracture"))


def test_empty_and_constant_reports_score_zero():
    for prediction in ("", "The lungs are clear."):
        point = finding_f1([prediction] * 4, REPORTS).point()
        assert point["f1_micro"] == point["f1_macro"] == point["recall_micro"] == 0


def test_scores_count_findings():
    values = finding_f1(["Cardiomegaly.", "Effusion.", "Atelectasis.", "Pacemaker."], REPORTS).values()
    assert values["precision_micro"].value == pytest.approx(2 / 3)
    assert values["recall_micro"].value == pytest.approx(2 / 4)
    assert values["f1_micro"].value == pytest.approx(4 / 7)
    assert values["f1_macro"].value == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert values["f1/Support Devices"].value == 1
    assert values["f1/Pleural Effusion"].count == 1
    assert values["f1_micro"].low <= values["f1_micro"].value <= values["f1_micro"].high


def test_f1_equals_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    said, true = (["".join(f"{s} " for s in rng.choice(REPORTS, 2)) for _ in range(30)] for _ in range(2))
    columns = [FINDINGS.index(name) for name in ABNORMAL]
    expected = f1_score(presence(true)[:, columns], presence(said)[:, columns], average="micro", zero_division=0)
    assert finding_f1(said, true).point()["f1_micro"] == pytest.approx(expected)


def test_bad_input_is_named():
    with pytest.raises(UserError, match="0 predictions"):
        finding_f1([], [])
    with pytest.raises(UserError, match="no studies"):
        agreement([])


def test_tags():
    named = dict(zip(FINDINGS, tagged("Cardiomegaly/mild; Opacity/lung/base/left;Thickening/pleura"), strict=True))
    assert [name for name, there in named.items() if there] == ["Cardiomegaly", "Lung Opacity", "Pleural Other"]
    assert tagged("normal")[0] and not any(tagged("normal")[1:])


def test_agreement_with_the_tags_of_iu_xray():
    source = Path(os.environ.get("UNIMEDVLP_DATA", "missing")) / "iu_xray_full"
    if not source.is_dir():
        pytest.skip("UNIMEDVLP_DATA does not hold iu_xray_full")
    command = [sys.executable, "-m", "unimedvlp.evaluation.findings", "--source", str(source), "--split", "test"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    micro = float(table.split("uncertain counts as absent: micro-F1 ")[1].split()[0])
    assert micro > 0.88
