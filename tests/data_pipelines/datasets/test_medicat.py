"""MedICaT's release."""

import json

import pytest
from bad_input_text import LINES, File, Layout, bad_input, everything, jpeg, save

from data_pipelines.builder import prepare
from data_pipelines.datasets.medicat import Medicat
from unimedvlp.errors import UserError

ENTRIES = "s2_full_figures_oa_nonroco_combined_medical_top4_public.jsonl"


def figure(article, number, **changes):
    return {
        "pdf_hash": f"{article:040x}", "fig_key": f"Figure{number}", "fig_uri": f"3-Figure{number}-1.png",
        "s2_caption": f"Figure {number}. A lesion of the café type.", "s2orc_caption": "Figure. Another.",
        "s2orc_references": None, "radiology": bool(article % 2), "scope": False, "predicted_type": "Medical images",
        "oa_info": {"doi": "10.1", "oa": {"is_oa": True, "license": None if number == 1 else "cc-by-nc"}},
    } | changes  # fmt: skip


def write(source):
    rows = [figure(article, number) for article in range(30) for number in (1, 2)]
    rows[3] |= {"s2_caption": "", "oa_info": None}
    save(source / "release" / ENTRIES, LINES.dump(rows))
    save(source / "release" / "subcaptions_public.jsonl", "{}")
    for i, row in enumerate(rows):
        save(source / "release" / "figures" / f"{row['pdf_hash']}_{row['fig_uri']}", jpeg(i))


IMAGE = f"release/figures/{0:040x}_3-Figure2-1.png"
FILE = File(LINES, "fig_uri", "pdf_hash", ("fig_uri", "s2_caption"), called="*.jsonl")
test_bad_input = bad_input(Layout(Medicat(), "by-article", write, {f"release/{ENTRIES}": FILE}, IMAGE))


def test_records(tmp_path):
    write(tmp_path / "source")
    splits = everything(Medicat(), tmp_path / "source", tmp_path / "out", "by-article")
    records = {record.study_id: record for records in splits.values() for record in records}
    assert len(records) == 60
    one, two = (records[f"{1:040x}_3-Figure{number}-1.png"] for number in (1, 2))
    assert one.caption == "Figure 1. A lesion of the café type." and two.caption == "Figure. Another."
    assert one.licence == two.licence == Medicat.licence and records[IMAGE.rpartition("/")[2]].licence == "cc-by-nc"
    homes = {record.patient_id: split for split, found in splits.items() for record in found}
    assert all(homes[record.patient_id] == split for split, found in splits.items() for record in found)


def test_radiology_only(tmp_path):
    write(tmp_path / "source")
    summary = prepare(Medicat(), tmp_path / "source", tmp_path / "out", "radiology-by-article")
    assert sum(counts["records"] for counts in summary.splits.values()) == 30


def test_a_path_out_of_the_folder(tmp_path):
    write(tmp_path / "source")
    path = tmp_path / "source" / "release" / ENTRIES
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    save(tmp_path / "secret.jpg", jpeg(99))
    path.write_text(LINES.dump([rows[0] | {"pdf_hash": "x", "fig_uri": "/../../../../secret.jpg"}, *rows[1:]]))
    summary = prepare(Medicat(), tmp_path / "source", tmp_path / "out", "by-article")
    assert summary.set_aside == {"path leads outside the source folder": 1}


def test_without_figures(tmp_path):
    save(tmp_path / ENTRIES, "{}")
    with pytest.raises(UserError, match=r"expected one file of JSON lines .* and figures/; found s2_full"):
        list(Medicat().records(tmp_path, "by-article"))
