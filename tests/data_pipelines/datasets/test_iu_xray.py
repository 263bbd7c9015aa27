"""IU X-Ray: both native layouts with the quirks of the real files, and the real files where they are at hand."""

import shutil

import pytest

from data_pipelines.builder import folder_of, prepare
from data_pipelines.datasets.iu_xray import LABELS, IuXray, labels
from data_pipelines.read import PreparedSplit
from data_pipelines.summary import SetAside
from data_pipelines.work import expand
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, Record


def read(source):
    items = list(expand(IuXray().records(source, "r2gen")))
    return {item.study_id: item for item in items if isinstance(item, Record)}, [
        i for i in items if isinstance(i, SetAside)
    ]


def indexed(*positive):
    """The labels of an indexed study: these positive, all others negative."""
    return dict.fromkeys([*LABELS.values(), "abnormal"], NEGATIVE) | dict.fromkeys(positive, POSITIVE)


def test_kaggle_layout(kaggle):
    records, aside = read(kaggle)
    assert list(records) == ["CXR1", "CXR2", "CXR3"]
    one = records["CXR1"]
    assert one.views == ("frontal", "lateral") and one.patient_id == "CXR1"
    assert one.images[0] == (kaggle / "images/images_normalized/1_IM-0001-2001.dcm.png").read_bytes()
    assert one.findings == "Lungs are clear. café" and one.impression == "Normal chest x-XXXX."
    assert (one.modality, one.body_part, one.indication) == ("xray", "chest", "Positive TB test")
    assert one.labels == indexed()
    assert records["CXR2"].labels == indexed("cardiomegaly", "lung opacity", "abnormal")
    assert records["CXR2"].views == ("lateral",) and records["CXR2"].findings == "Big heart, opacity."
    assert records["CXR3"].findings == "" and records["CXR3"].labels == {}
    assert ("CXR4", "empty report") in [(item.study_id, item.reason) for item in aside]
    assert ("CXR5", "no image file") in [(item.study_id, item.reason) for item in aside]
    assert SetAside("CXR2", "image file missing: view left out", "2_IM-0002-2001") in aside


def test_images_may_lie_directly_in_images(kaggle):
    for path in (kaggle / "images/images_normalized").iterdir():
        path.rename(kaggle / "images" / path.name.replace(".png", ".jpg"))
    assert len(read(kaggle)[0]) == 3


def test_openi_layout_without_projections(openi):
    records, aside = read(openi)
    assert list(records) == ["CXR1", "CXR10"] and not aside
    assert records["CXR1"].views == ("unknown", "unknown") and records["CXR1"].findings == "Lungs are clear."
    assert records["CXR1"].labels == indexed()
    assert records["CXR10"].labels == indexed("lung lesion", "abnormal")
    assert records["CXR1"].images[0] == (openi / "NLMCXR_png/CXR1_1_IM-0001-1001.png").read_bytes()


def test_openi_layout_takes_projections_and_kaggle_names(openi):
    (openi / "indiana_projections.csv").write_text(
        "uid,filename,projection\n1,1_IM-0001-1001.dcm.png,Lateral\n1,1_IM-0001-2001.dcm.png,Frontal\n"
    )
    path = openi / "NLMCXR_png/CXR1_1_IM-0001-1001.png"
    path.rename(openi / "NLMCXR_png/1_IM-0001-1001.dcm.png")
    (openi / "NLMCXR_png/CXR10_IM-00010-1001.png").rename(openi / "NLMCXR_png/10_IM-00010-1001.dcm.png")
    records, aside = read(openi)
    assert records["CXR1"].views == ("frontal", "lateral") and len(records["CXR10"].images) == 2 and not aside


def test_malformed_xml_is_set_aside(openi):
    (openi / "ecgen-radiology/2.xml").write_text("<eCitation>")
    records, aside = read(openi)
    assert len(records) == 2 and aside[0].where == "2.xml" and aside[0].reason.startswith("malformed XML")


@pytest.mark.parametrize(
    ("tags", "positive"),
    [
        (("normal",), ()),
        (("Calcinosis/lung",), ("abnormal",)),
        (("Catheters, Indwelling/left", "Mass/lung"), ("support devices", "lung lesion", "abnormal")),
    ],
)
def test_labels(tags, positive):
    assert labels(tags) == indexed(*positive)


@pytest.mark.parametrize("tag", ["No Indexing", "Technical Quality of Image Unsatisfactory ", ""])
def test_studies_without_indexing_have_no_labels(tag):
    assert labels((tag,)) == {}


def test_wrong_layouts_say_what_was_expected(tmp_path, kaggle):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "annotation.json").touch()
    with pytest.raises(UserError, match=r"expected indiana_reports.csv .* found annotation.json"):
        read(tmp_path / "other")
    shutil.rmtree(kaggle / "images")
    with pytest.raises(UserError, match="expected images in images/"):
        read(kaggle)


def test_a_missing_column(kaggle):
    text = (kaggle / "indiana_reports.csv").read_text("latin-1").replace("findings", "finding", 1)
    (kaggle / "indiana_reports.csv").write_text(text, "latin-1")
    with pytest.raises(UserError, match=r"indiana_reports.csv: no column findings"):
        read(kaggle)


def test_an_unreadable_view_is_left_out(kaggle, tmp_path):
    (kaggle / "images/images_normalized/1_IM-0001-2001.dcm.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    summary = prepare(IuXray(), kaggle, tmp_path / "out", "random-70-10-20")
    folder = folder_of(IuXray(), tmp_path / "out", "random-70-10-20")
    records = {record.study_id: record for split in summary.splits for record in PreparedSplit(folder, split)}
    assert records["CXR1"].views == ("lateral",) and len(records) == 3


def test_real_r2gen_split(real_data, tmp_path):
    summary = prepare(IuXray(), real_data / "iu_xray_full", tmp_path, "r2gen")
    assert {name: split["records"] for name, split in summary.splits.items()} == summary.expected
    assert summary.set_aside == {"empty report": 25} and summary.shared_images == 0
    assert summary.splits["test"]["images"] == 1223 and summary.splits["test"]["fields"]["findings"] == 590


def test_real_layouts_agree(real_data, tmp_path):
    """The same studies through XML and through the tables carry the same words, labels and images."""
    (tmp_path / "xml").mkdir()
    for name in ("ecgen-radiology", "images", "indiana_projections.csv"):
        (tmp_path / "xml" / name).symlink_to(real_data / "iu_xray" / name)
    tables, _ = read(real_data / "iu_xray")
    files, _ = read(tmp_path / "xml")
    shared = set(tables) & set(files)
    assert len(shared) > 250
    same = [
        (a.labels, a.images, a.views, a.impression.split()) == (b.labels, b.images, b.views, b.impression.split())
        for a, b in ((tables[key], files[key]) for key in shared)
    ]
    assert sum(same) == len(same)
