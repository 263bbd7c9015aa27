"""TBX11K: COCO files or Kaggle's table, kinds of images from folders, no labels of the test images."""

import natives
import numpy as np
import pytest
from reading import prepared, read, reasons

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE


@pytest.fixture
def source(tmp_path):
    return natives.tbx11k(tmp_path / "tbx")


def test_json(source, tmp_path):
    _, splits = prepared("tbx11k", source, tmp_path, "official")
    assert set(splits["train"]) == {"tb0005", "h0001", "s0001"} and set(splits["validation"]) == {"tb0001", "h9"}
    one = splits["train"]["tb0005"]
    np.testing.assert_allclose(one.boxes, [[8 / 64, 16.5 / 64, 24 / 64, 48.5 / 64]])
    assert one.box_classes == ("obsolete pulmonary tuberculosis",) and not one.masks
    assert one.labels == {"tuberculosis": POSITIVE, "abnormal": POSITIVE}
    assert splits["train"]["h0001"].labels == {"tuberculosis": NEGATIVE, "abnormal": NEGATIVE}
    assert splits["train"]["s0001"].labels == {"tuberculosis": NEGATIVE, "abnormal": POSITIVE}


def test_table(tmp_path):
    source = natives.tbx11k_csv(tmp_path / "tbx")
    records, aside = read("tbx11k", source)
    assert len(records) == 3 and not aside
    np.testing.assert_allclose(records["tb0003"].boxes[0], [4 / 32, 8.5 / 32, 20 / 32, 16.5 / 32])
    assert records["tb0003"].box_classes == ("obsolete pulmonary tuberculosis", "active tuberculosis")
    assert records["s0003"].labels == {"tuberculosis": NEGATIVE, "abnormal": POSITIVE}
    with pytest.raises(UserError, match="take --protocol by-image"):
        prepared("tbx11k", source, tmp_path, "official")


def test_odd_rows_are_set_aside(tmp_path):
    source = natives.tbx11k_csv(tmp_path / "tbx")
    text = (source / "data.csv").read_text().replace("'xmin': 8.5, ", "").replace(",healthy", ",well")
    (source / "data.csv").write_text(text + "s0003.png,32,32,train,\"__import__('os')\",no_tb,none,sick_but_no_tb\n")
    records, aside = read("tbx11k", source)
    assert set(records) == {"tb0003", "s0003"} and len(records["tb0003"].boxes) == 1
    assert reasons(aside)[0].startswith("unknown kind of image 'well'")
    assert reasons(aside)[1:] == ["a box is not four numbers"] * 2


def test_real_fixture(real_data):
    records, aside = read("tbx11k", real_data / "tbx11k_mini", "by-image")
    assert {name: len(record.boxes) for name, record in records.items()} == {"tb0005": 1, "tb0007": 2, "h0001": 0}
    assert reasons(aside) == ["annotation file missing"]
    assert records["tb0005"].box_classes == ("active tuberculosis",)
