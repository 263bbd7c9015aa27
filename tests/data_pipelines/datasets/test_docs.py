"""Pages of the data sets: every data set is in the index, and a page says of protocols and counts what the builder does."""

import re
from pathlib import Path

import pytest

from data_pipelines import datasets

DOCS = Path(__file__).parents[3] / "docs" / "datasets"


def test_the_index_lists_every_data_set_and_its_links_lead_somewhere():
    links = dict(re.findall(r"\[(\w+)\]\(([^)]+)\)", (DOCS / "README.md").read_text()))
    assert set(datasets.names()) <= set(links)
    assert all((DOCS / target).is_file() for target in links.values())


@pytest.mark.parametrize("path", sorted(DOCS.glob("[a-z]*.md")), ids=lambda path: path.stem)
def test_pages_agree_with_their_builders(path):
    builder, text = datasets.builder(path.stem), path.read_text()
    assert f"unimedvlp prepare {path.stem}" in text
    for protocol, rule in builder.protocols.items():
        assert f"`{protocol}`" in text or rule.fraction < 1, f"{protocol} is not on the page"
        assert all(f"{count:,}" in text for count in rule.expected.values()), (
            f"counts of {protocol} are not on the page"
        )


def test_every_page_says_where_from_under_which_licence_how_laid_out_and_how_split():
    own = {"coco", "image_folder", "image_mask_folder", "image_text_csv", "pascal_voc", "text_csv", "vqa_json"}
    for path in sorted(DOCS.glob("[a-z]*.md")):
        text = path.read_text()
        parts = ["## Layout", "## Protocol", "## Record" if "**Record**" not in text else "**Record**"]
        parts += ["not stated"] if path.stem in own else ["**Source**", "**Licence**"]
        assert not [part for part in parts if part not in text], path.stem
