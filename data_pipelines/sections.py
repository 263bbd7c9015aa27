"""Sections of a radiology report as written by hand: our own reading of how such reports are laid out.

A heading is a known title at the start of a line (`FINDINGS:`, `Impression -`, `HISTORY` alone on its line), or in capitals
and with a colon anywhere (`... fever. COMPARISON: None.`); titles may be joined (`FINDINGS AND IMPRESSION:` counts as
findings). A title in capitals that names the examination (`AP CHEST, 5:14 A.M.:`) opens findings where no heading says so,
and technique otherwise. Other titles in capitals (`LUNGS: clear`) are text. Indication, technique and comparison hold one
paragraph; paragraphs after that, and those without any heading, are the body.

Banners (`FINAL REPORT`, a rule of underscores) end a wet read or an addendum; headings inside a wet read that a banner ends
are its own. Sections that occur twice are joined in their order. Blanks of de-identification (`___`) stay.
"""

import dataclasses
import re
from collections import defaultdict

TITLES = {
    "indication": (
        "INDICATION", "CLINICAL INDICATION", "HISTORY", "CLINICAL HISTORY", "PATIENT HISTORY", "CLINICAL INFORMATION",
        "CLINICAL DATA", "REASON FOR EXAM", "REASON FOR EXAMINATION", "REASON FOR THIS EXAMINATION", "REASON FOR STUDY",
    ),
    "technique": (
        "TECHNIQUE", "EXAM", "EXAMINATION", "TYPE OF EXAM", "TYPE OF EXAMINATION", "STUDY", "PROCEDURE", "VIEWS",
    ),
    "comparison": ("COMPARISON", "COMPARISON STUDY", "COMPARISON STUDIES", "PRIOR STUDIES", "PRIOR EXAMINATION"),
    "findings": ("FINDING", "OBSERVATION", "RADIOGRAPHIC FINDING", "DESCRIPTION"),
    "impression": ("IMPRESSION", "CONCLUSION", "OPINION", "INTERPRETATION", "SUMMARY"),
    "wet_read": ("WET READ", "WET READING", "PRELIMINARY READ"),
    "addendum": ("ADDENDUM", "ADDENDA"),
    "other": ("NOTIFICATION", "RECOMMENDATION", "ATTESTATION", "COMMUNICATION"),
}  # fmt: skip
_SECTION = {title: section for section, titles in TITLES.items() for title in titles}
_ONE_PARAGRAPH = ("indication", "technique", "comparison")
_KNOWN = "|".join(sorted((re.escape(title) for title in _SECTION), key=len, reverse=True))
_INLINE = re.compile(rf"(?<=[a-z0-9.,;:!?)_])[ \t]+(?=(?:{_KNOWN})(?:S|\(S\))?[ \t]*:)")
_CAPITALS = re.compile(r"\s*([A-Z][A-Z /&()]*?)\s*(?:[:;.](?!\S)|\s-\s|$)(.*)")
_WORDS = re.compile(r"\s*([A-Z][A-Za-z /&()]*?)\s*(?::|$)(.*)")
_EXAMINATION = re.compile(r"\s*([A-Z0-9_][A-Z0-9_ ,./()&:-]*?):(?=\s|$)(.*)")
_EXAMINED = re.compile(r"\b(CHEST|THORAX|RADIOGRAPHS?|X-?RAYS?|CXR|VIEWS?|FILMS?|PORTABLE|FRONTAL|LATERAL|PA|AP)\b")
_BANNER = re.compile(r"\s*(?:_{5,}|(?:FINAL|PRELIMINARY|INTERIM|REVISED|AMENDED) (REPORT|ADDENDUM)(?: \(.*\))?:?)\s*")


@dataclasses.dataclass(frozen=True)
class Sections:
    """The text of each section on one line, "" where the report has none.

    Where a report has neither findings nor impression, `last_paragraph` is what is left to read: the last paragraph of the
    body, else the wet read, else the addendum. `other` holds notifications, recommendations and the like.
    """

    indication: str = ""
    technique: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    wet_read: str = ""
    addendum: str = ""
    other: str = ""
    last_paragraph: str = ""


def parse(report: str) -> Sections:
    """The sections of a report, with any line ends."""
    found: dict[str, list[str]] = defaultdict(list)
    section = "body"
    lines = _INLINE.sub("\n", report).splitlines()
    banners = [i for i, line in enumerate(lines) if _BANNER.fullmatch(line)]
    paragraph: list[str] = []

    def end_paragraph() -> None:
        nonlocal section
        if paragraph:
            found[section].append(" ".join(" ".join(paragraph).split()))
            paragraph.clear()
            section = "body" if section in _ONE_PARAGRAPH else section

    for i, line in enumerate(lines):
        if banner := _BANNER.fullmatch(line):
            end_paragraph()
            section = "addendum" if banner[1] == "ADDENDUM" else "body"
        elif not line.strip():
            end_paragraph()
        elif (heading := _heading(line, section)) and not (section == "wet_read" and banners and banners[-1] > i):
            end_paragraph()
            section, rest = heading
            paragraph += [rest] if rest.strip() else []
        else:
            paragraph.append(line)
    end_paragraph()
    return _sections(found)


def _sections(found: dict[str, list[str]]) -> Sections:
    found["technique" if "findings" in found else "findings"] += found.pop("examination", [])
    joined = {section: " ".join(found[section]) for section in TITLES}
    if not joined["findings"] and not joined["impression"]:
        joined["last_paragraph"] = " ".join(found["body"][-1:] or found["wet_read"] or found["addendum"])
    return Sections(**joined)


def _heading(line: str, section: str) -> tuple[str, str] | None:
    """(section, rest of the line) if the line opens one within `section`."""
    for pattern in (_CAPITALS, _WORDS):
        match = pattern.fullmatch(line)
        if match and (named := _section(match[1])):
            return named, match[2]
    match = _EXAMINATION.fullmatch(line)
    if match and _EXAMINED.search(match[1]) and section not in ("findings", "impression"):
        return "examination", match[2]
    return None


def _section(title: str) -> str:
    """The section that a title names, "" if it is not known; of joined titles findings, else the first."""
    parts = [part.strip() for part in re.split(r" AND | & |/", title.upper().replace("(S)", "S")) if part.strip()]
    named = [_SECTION.get(part) or _SECTION.get(part.removesuffix("S"), "") for part in parts]
    if not named or not all(named):
        return ""
    return "findings" if "findings" in named else named[0]
