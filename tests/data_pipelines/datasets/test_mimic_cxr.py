"""MIMIC-CXR-JPG in its native layout, with made-up studies that have the quirks of the real ones."""

import gzip

import numpy as np
import pytest
from bad_input_text import CSV, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.mimic_cxr import CHEXPERT, FINDINGS, METADATA, SECTIONED, SPLIT, MimicCxr
from data_pipelines.summary import SetAside
from data_pipelines.work import expand
from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN, Record

# study: (subject, split, [(dicom, ViewPosition)], labels, report)
STUDIES = {
    "50000001": (
        "10000032", "train", [("aa-lat", "LATERAL"), ("ab-pa", "PA")], {"Edema": "1.0", "Pneumonia": "-1.0", "Fracture": "0.0"},
        " " * 33 + "FINAL REPORT\n INDICATION:  ___F with café.\n\n COMPARISON:  ___.\n\n FINDINGS: \n \n Mild\n edema.\n\n"
        " IMPRESSION: \n \n 1. Edema.\n",
    ),
    "50000002": (
        "10000032", "train", [("ba", "")], {"No Finding": "1.0"},
        " " * 33 + "FINAL REPORT\n HISTORY: Cough.\n\n AP CHEST, 5:14 A.M.:  Clear lungs.\n",
    ),
    "50000003": (
        "10000764", "validate", [("ca-ap", "AP"), ("cb-ll", "LL"), ("cc-lao", "LAO")], {"Edema": ""},
        "As compared to the previous radiograph,\nno change.\n\nLines in place.\n",
    ),
    "50000004": (
        "11000898", "test", [("da", "AP")], {"Edema": "0.0"},
        " FINAL REPORT\n FINDINGS: Parsed findings.\n\n IMPRESSION: Parsed impression.\n",
    ),
    "50000005": ("11000898", "test", [("ea", "PA")], {}, None),
}  # fmt: skip


def place(study):
    subject = STUDIES[study][0]
    return f"files/p{subject[:2]}/p{subject}/s{study}"


def write(source, reports=True, packed=False):
    tables = {SPLIT: [], METADATA: [], CHEXPERT: []}
    for number, (study, (subject, split, images, labels, report)) in enumerate(STUDIES.items()):
        for i, (dicom, view) in enumerate(images):
            ids = {"dicom_id": dicom, "study_id": study, "subject_id": subject}
            tables[SPLIT].append(ids | {"split": split})
            tables[METADATA].append(
                {
                    "dicom_id": dicom,
                    "subject_id": subject,
                    "study_id": study,
                    "PerformedProcedureStepDescription": "CHEST, café",
                }
                | {"ViewPosition": view, "Rows": 3056, "Columns": 2544}
            )
            save(source / place(study) / f"{dicom}.jpg", jpeg(10 * number + i))
        if labels:
            tables[CHEXPERT].append(
                {"subject_id": subject, "study_id": study} | {name: labels.get(name, "") for name in FINDINGS}
            )
        if report and reports:
            save(source / f"{place(study)}.txt", report)
    for name, rows in tables.items():
        text = CSV.dump(rows)
        save(source / (f"{name}.gz" if packed else name), gzip.compress(text.encode()) if packed else text)
    sectioned = [
        {
            "study": "s50000001",
            "impression": "1. Edema.",
            "findings": "Mild\nedema.",
            "last_paragraph": "",
            "comparison": "___.",
        },
        {"study": "s50000003", "impression": "", "findings": "", "last_paragraph": "Lines in place.", "comparison": ""},
        {
            "study": "s50000004",
            "impression": "",
            "findings": "Sectioned findings, café.",
            "last_paragraph": "",
            "comparison": "",
        },
    ]
    save(source / SECTIONED, CSV.dump(sectioned))


def read(source, **options):
    items = list(expand(MimicCxr(**options).records(source, "official")))
    aside = [item for item in items if isinstance(item, SetAside)]
    return {item.study_id: item for item in items if isinstance(item, Record)}, aside


def bad_source(source):
    """The layout with a report for every study: nothing to set aside."""
    write(source)
    save(source / f"{place('50000005')}.txt", "IMPRESSION: Normal.")


FILES = {
    SPLIT: File(CSV, "dicom_id", "dicom_id", ("dicom_id", "split"), "dicom_id", ascii=True),
    METADATA: File(CSV, "dicom_id", "", ("dicom_id", "ViewPosition")),
    CHEXPERT: File(CSV, "study_id", "study_id", ("study_id", "Edema"), ascii=True),
}
test_bad_input = bad_input(Layout(MimicCxr(), "official", bad_source, FILES, f"{place('50000001')}/aa-lat.jpg"))


def test_records(tmp_path):
    write(tmp_path)
    records, aside = read(tmp_path)
    assert list(records) == [f"s{study}" for study in STUDIES]
    one = records["s50000001"]
    assert (
        one.views == ("frontal", "lateral")
        and one.images[1] == (tmp_path / place("50000001") / "aa-lat.jpg").read_bytes()
    )
    assert (one.patient_id, one.modality, one.body_part) == ("p10000032", "xray", "chest")
    assert (one.indication, one.findings, one.impression) == ("___F with café.", "Mild edema.", "1. Edema.")
    assert one.labels == {"edema": POSITIVE, "pneumonia": UNCERTAIN, "fracture": NEGATIVE} and one.text == ""
    assert records["s50000002"].views == ("unknown",) and records["s50000002"].labels == {"no finding": POSITIVE}
    assert records["s50000003"].views == ("frontal", "lateral", "oblique") and records["s50000003"].labels == {}
    assert aside == [
        SetAside("s50000005", "no report file: images and labels kept", f"{place('50000005')}.txt"),
    ]


def test_sections_of_the_table_go_first_and_the_parser_fills_its_gaps(tmp_path):
    write(tmp_path)
    records, _ = read(tmp_path)
    assert (records["s50000004"].findings, records["s50000004"].impression) == ("Sectioned findings, café.", "")
    assert (records["s50000002"].findings, records["s50000002"].indication) == (
        "Clear lungs.",
        "Cough.",
    )  # not in the table
    assert (records["s50000003"].findings, records["s50000003"].text) == ("", "Lines in place.")  # neither in the table
    (tmp_path / SECTIONED).unlink()
    records, _ = read(tmp_path)
    assert (records["s50000004"].findings, records["s50000004"].impression) == (
        "Parsed findings.",
        "Parsed impression.",
    )
    assert records["s50000001"].findings == "Mild edema."


def test_boxes_of_ms_cxr_go_to_their_image_which_comes_first(tmp_path):
    write(tmp_path)
    head = "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height,split"
    rows = [
        "cb-ll,Pneumothorax,a small pneumothorax,files/x.jpg,10,20,30,40,100,200,train", "cb-ll,Edema,b,x,0,0,NaN,5,100,200,val",
        "ca-ap,Edema,c,x,1,1,5,5,100,200,train", "da,Edema,d,x,1,1,5,5,,200,train", "zz,Edema,e,x,1,1,5,5,100,200,train",
    ]  # fmt: skip
    save(tmp_path / "MS_CXR_Local_Alignment_v1.0.0.csv", "not read")
    save(tmp_path / "MS_CXR_Local_Alignment_v1.1.0.csv", "\n".join([head, *rows[:2], *rows[3:], ""]))
    records, aside = read(tmp_path)
    one = records["s50000003"]
    assert one.views == ("lateral", "frontal", "oblique") and one.box_classes == ("pneumothorax",)
    np.testing.assert_allclose(one.boxes, [[0.1, 0.1, 0.3, 0.4]], atol=1e-6)
    assert records["s50000001"].box_classes == () and records["s50000004"].box_classes == ()
    assert [item.reason for item in aside if item.study_id != "s50000005"] == [
        "a box is not four numbers", "a box without the size of its image", "boxes of an image in no split",
    ]  # fmt: skip
    save(tmp_path / "MS_CXR_Local_Alignment_v1.1.0.csv", "\n".join([head, rows[0], rows[2], ""]))
    records, aside = read(tmp_path)
    assert records["s50000003"].views[0] == "frontal" and records["s50000003"].box_classes == ("edema",)
    assert SetAside("s50000003", "boxes on another image than the first: left out", "cb-ll") in aside


def test_reports_may_lie_elsewhere(tmp_path):
    write(tmp_path / "jpg", reports=False, packed=True)
    assert len(read(tmp_path / "jpg")[1]) == 3  # s50000002, s50000003, s50000005 have no sections either
    write(tmp_path / "reports")
    elsewhere, _ = read(tmp_path / "jpg", reports=str(tmp_path / "reports"))
    assert elsewhere["s50000002"].findings == "Clear lungs."
    (tmp_path / "reports").rename(tmp_path / "jpg" / "mimic-cxr-reports")
    assert read(tmp_path / "jpg")[0]["s50000002"].findings == "Clear lungs."
    with pytest.raises(UserError, match=r"--reports /nowhere holds neither files/ nor mimic_cxr_sectioned.csv"):
        read(tmp_path / "jpg", reports="/nowhere")


def test_protocols(tmp_path):
    write(tmp_path / "source", packed=True)
    splits = everything(MimicCxr(), tmp_path / "source", tmp_path / "out", "official")
    assert {split: [record.study_id for record in records] for split, records in splits.items()} == {
        "train": ["s50000001", "s50000002"],
        "validation": ["s50000003"],
        "test": ["s50000004", "s50000005"],
    }
    generation = prepare(MimicCxr(), tmp_path / "source", tmp_path / "out", "report-generation")
    assert {split: counts["records"] for split, counts in generation.splits.items()} == {"train": 2, "test": 1}
    assert generation.not_in_protocol == 2 and generation.expected == {"test": 2347}
    assert "official-1pct-seed2" in MimicCxr.protocols


def test_what_is_missing_or_odd_is_counted(tmp_path):
    write(tmp_path)
    (tmp_path / place("50000001") / "ab-pa.jpg").unlink()
    (tmp_path / place("50000002") / "ba.jpg").unlink()
    save(tmp_path / f"{place('50000003')}.txt", "\n")
    for name, old, new in ((CHEXPERT, "1.0", "high"), (METADATA, "da,", "zz,")):
        path = tmp_path / name
        save(path, path.read_text().replace(old, new, 1))
    records, aside = read(tmp_path)
    assert records["s50000001"].views == ("lateral",) and "edema" not in records["s50000001"].labels
    assert "s50000002" not in records and records["s50000004"].views == ("unknown",)
    reasons = {(item.study_id, item.reason) for item in aside}
    assert reasons == {
        ("s50000001", "image file missing: view left out"),
        ("s50000001", "a label is not 1, 0 or -1: left out"),
        ("s50000002", "image file missing: view left out"),
        ("s50000002", "no image file"),
        ("s50000003", "a report without text: images and labels kept"),
        ("s50000004", "image is not in the metadata: view unknown"),
        ("s50000005", "no report file: images and labels kept"),
        ("zz", "image of the metadata is in no split"),
    }


def test_a_study_in_two_splits_is_refused(tmp_path):
    write(tmp_path / "source")
    path = tmp_path / "source" / SPLIT
    save(path, path.read_text().replace("ab-pa,50000001,10000032,train", "ab-pa,50000001,10000032,test"))
    with pytest.raises(UserError, match="study s50000001 is in both train and test"):
        prepare(MimicCxr(), tmp_path / "source", tmp_path / "out", "official")


def test_layouts_that_are_not_complete(tmp_path):
    write(tmp_path)
    save(tmp_path / SPLIT, (tmp_path / SPLIT).read_text().replace("validate", "fold3"))
    with pytest.raises(UserError, match=r"row 4: split 'fold3' is not train, validate or test"):
        prepare(MimicCxr(), tmp_path, tmp_path / "out", "official")
    (tmp_path / METADATA).unlink()
    with pytest.raises(UserError, match=r"expected mimic-cxr-2.0.0-metadata.csv"):
        read(tmp_path)
    (tmp_path / "files").rename(tmp_path / "p10")
    with pytest.raises(UserError, match=r"expected files/"):
        read(tmp_path)
