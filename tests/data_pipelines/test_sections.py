"""Sections of reports of every shape that radiologists write, generated here."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.sections import Sections, parse

RULE = "_" * 78
FINAL = " " * 33 + "FINAL REPORT"
WORDS = (
    "lungs",
    "clear",
    "no",
    "effusion",
    "is",
    "seen",
    "the",
    "heart",
    "___",
    "mildly",
    "enlarged",
    "pa",
    "view",
    "history",
)
TITLES = {
    "indication": ("INDICATION", "HISTORY", "CLINICAL HISTORY", "REASON FOR EXAMINATION", "Indication", "INDICATIONS"),
    "technique": ("TECHNIQUE", "EXAMINATION", "EXAM", "Technique"),
    "comparison": ("COMPARISON", "COMPARISONS", "Comparison", "COMPARISON STUDIES"),
    "findings": ("FINDINGS", "FINDING", "Findings", "FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION"),
    "impression": ("IMPRESSION", "Impression", "CONCLUSION", "IMPRESSION(S)"),
    "other": ("NOTIFICATION", "RECOMMENDATION(S)"),
}


def said(report: str) -> dict[str, str]:
    """What a report's sections hold, without the empty ones."""
    return {name: text for name, text in dataclasses.asdict(parse(report)).items() if text}


sentence = st.lists(st.sampled_from(WORDS), min_size=2, max_size=30).map(lambda words: " ".join(words) + ".")


@st.composite
def reports(draw):
    """(report, its sections): any order and choice of sections, one title each, laid out in any of the usual ways."""
    names = draw(st.permutations(draw(st.lists(st.sampled_from(sorted(TITLES)), min_size=1, unique=True))))
    lines = draw(st.sampled_from(([], [FINAL], ["", FINAL, ""], [RULE, FINAL])))[:]
    truth = {}
    for name in names:
        title = draw(st.sampled_from(TITLES[name]))
        several = draw(st.integers(1, 3)) if name in ("findings", "impression") else 1
        paragraphs = draw(st.lists(sentence, min_size=several, max_size=several))
        truth[name] = " ".join(paragraphs)
        end = draw(st.sampled_from((":", ": ", ":  ", " :") if title != title.upper() else (":  ", ";", ".", " -")))
        first, *rest = [wrapped(text, draw(st.integers(20, 80))) for text in paragraphs]
        own_line = draw(st.booleans())
        lines += (
            [f" {title}{':' if own_line else end}", "", *first]
            if own_line
            else [f" {title}{end} {first[0]}", *first[1:]]
        )
        for paragraph in rest:
            lines += ["", *paragraph]
        lines += [""] * draw(st.integers(0, 2))
    return draw(st.sampled_from(("\n", "\r\n"))).join(lines), truth


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` letters, with the blank in front that such reports have."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}"
    return lines


@settings(max_examples=300, deadline=None)
@given(reports())
def test_every_layout_gives_its_sections(case):
    report, truth = case
    assert said(report) == truth


@settings(max_examples=100, deadline=None)
@given(st.lists(sentence, min_size=1, max_size=4))
def test_without_headings_the_last_paragraph_is_left(paragraphs):
    report = "\n\n".join([FINAL, *("\n".join(wrapped(text, 60)) for text in paragraphs)])
    assert said(report) == {"last_paragraph": paragraphs[-1]}


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("FINDGS IMPREO:_\n\r\t.-/abc("), max_size=200))
def test_nothing_breaks_it(text):
    assert isinstance(parse(text), Sections)


CASES = {
    "wet read before the final report": (
        f"WET READ: ___ ___ 9:51 PM\n No pneumonia.\n IMPRESSION: none acute.\n{RULE}\n{FINAL}\n HISTORY:  Fever.\n\n"
        " FINDINGS: Clear.\n\n IMPRESSION:  Normal.\n",
        {
            "wet_read": "___ ___ 9:51 PM No pneumonia. IMPRESSION: none acute.",
            "indication": "Fever.",
            "findings": "Clear.",
            "impression": "Normal.",
        },
    ),
    "wet read alone": (
        "WET READ: ___\n No pneumonia.\n",
        {"wet_read": "___ No pneumonia.", "last_paragraph": "___ No pneumonia."},
    ),
    "wet read without a banner": (
        "WET READ:\n Clear.\n FINDINGS: Opacity.\n",
        {"wet_read": "Clear.", "findings": "Opacity."},
    ),
    "addendum first": (
        f" FINAL ADDENDUM\n Side corrected.\n{RULE}\n{FINAL} (REVISED)\n Findings:\n Left effusion.\n",
        {"addendum": "Side corrected.", "findings": "Left effusion."},
    ),
    "addendum last": (
        "IMPRESSION: Normal.\n\nADDENDUM\n Dr. ___ has seen it.\n",
        {"impression": "Normal.", "addendum": "Dr. ___ has seen it."},
    ),
    "two impressions": (
        "IMPRESSION: One.\nFINDINGS: Clear.\nIMPRESSION: Two.",
        {"findings": "Clear.", "impression": "One. Two."},
    ),
    "headings on one line": (
        " HISTORY:  Fever.  COMPARISON:  None.  FINDINGS:  Clear lungs. IMPRESSION: Normal.",
        {"indication": "Fever.", "comparison": "None.", "findings": "Clear lungs.", "impression": "Normal."},
    ),
    "examination as heading": (
        " HISTORY: Fever.\n\n AP CHEST, 5:14 A.M., ___:  Clear.\n\n Heart normal.\n\n IMPRESSION: Normal.",
        {"indication": "Fever.", "findings": "Clear. Heart normal.", "impression": "Normal."},
    ),
    "examination and findings": (
        " PA AND LATERAL CHEST RADIOGRAPH: Two views.\n FINDINGS: Clear.",
        {"technique": "Two views.", "findings": "Clear."},
    ),
    "titles inside findings": (
        "FINDINGS:\n LUNGS: clear.\n HEART AND MEDIASTINUM: normal.\n LATERAL VIEW: no effusion.\n\n IMPRESSION: Normal.",
        {
            "findings": "LUNGS: clear. HEART AND MEDIASTINUM: normal. LATERAL VIEW: no effusion.",
            "impression": "Normal.",
        },
    ),
    "body after comparison": (
        "COMPARISON: ___.\n\n Two views.\n\n The lungs are clear.",
        {"comparison": "___.", "last_paragraph": "The lungs are clear."},
    ),
    "words that are no headings": (
        "FINDINGS: The findings: are stable. No impression is made, but history helps.\n Findings are stable.\n",
        {"findings": "The findings: are stable. No impression is made, but history helps. Findings are stable."},
    ),
    "empty section": ("FINDINGS:\n\nIMPRESSION: Normal.", {"impression": "Normal."}),
    "blank alone on a line": (
        "FINDINGS: Clear.\n ___\n IMPRESSION: Normal.",
        {"findings": "Clear. ___", "impression": "Normal."},
    ),
    "nothing": (" \n\r\n", {}),
}


@pytest.mark.parametrize(("report", "expected"), CASES.values(), ids=CASES.keys())
def test_shapes(report, expected):
    assert said(report) == expected
