"""Damaged files of IU X-Ray and VQA-RAD."""

from bad_input_text import CSV, JSON, File, Layout, bad_input, jpeg, save

from data_pipelines.datasets.iu_xray import IuXray
from data_pipelines.datasets.vqa_rad import VqaRad


def kaggle(source):
    reports = [
        {
            "uid": uid, "MeSH": "normal", "Problems": "normal", "image": "Chest", "indication": "café", "comparison": "",
            "findings": f"Clear lungs {uid}.", "impression": "Normal.",
        }
        for uid in range(1, 21)
    ]  # fmt: skip
    names = [(uid, f"{uid}_IM-{uid:04d}-{view}.dcm.png", view) for uid in range(1, 21) for view in (1001, 2001)]
    views = [
        {"uid": uid, "filename": name, "projection": "Frontal" if view == 1001 else "Lateral"}
        for uid, name, view in names
    ]
    save(source / "indiana_reports.csv", CSV.dump(reports))
    save(source / "indiana_projections.csv", CSV.dump(views))
    for i, (_, name, _) in enumerate(names):
        save(source / "images" / "images_normalized" / name, jpeg(i))


test_iu_xray = bad_input(
    Layout(
        IuXray(),
        "random-70-10-20",
        kaggle,
        {
            "indiana_reports.csv": File(CSV, "uid", "uid", ("uid", "findings")),
            "indiana_projections.csv": File(CSV, "filename", "filename", ("uid", "filename"), ascii=True),
        },
        "images/images_normalized/1_IM-0001-1001.dcm.png",
    )
)


def mevf(source):
    for k, name in enumerate(("trainset", "testset")):
        rows = [
            {
                "qid": 10 * k + i, "image_name": f"synpic{i // 2}.jpg", "image_organ": "CHEST", "answer": "Yes",
                "answer_type": "CLOSED", "question_type": "PRES", "question": f"Is it café {i}?", "phrase_type": "freeform",
            }
            for i in range(4)
        ]  # fmt: skip
        save(source / "data_RAD" / f"{name}.json", JSON.dump(rows))
    for i in range(2):
        save(source / "data_RAD" / "images" / f"synpic{i}.jpg", jpeg(i))


FILE = File(JSON, "answer", "qid", ("image_name", "question"))
FILES = {f"data_RAD/{name}.json": FILE for name in ("trainset", "testset")}
test_vqa_rad = bad_input(Layout(VqaRad(), "official", mevf, FILES, "data_RAD/images/synpic0.jpg"))
