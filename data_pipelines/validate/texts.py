"""What a text gives away: another language, residue of de-identification, damage of its encoding, nothing at all.

Languages are told apart by script and by the commonest small words, which is enough to find reports that are not in the
language of the others; short answers are not judged.
"""

import re
from collections import Counter

_SCRIPTS = {
    "Chinese or Japanese": r"\u3040-\u30ff\u3400-\u9fff", "Korean": r"\uac00-\ud7af", "Cyrillic": r"\u0400-\u04ff",
    "Greek": r"\u0370-\u03ff", "Arabic": r"\u0600-\u06ff", "Hebrew": r"\u0590-\u05ff", "Thai": r"\u0e00-\u0e7f",
    "Devanagari": r"\u0900-\u097f",
}  # fmt: skip
_LETTERS = {name: re.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}
# Small words that one of these languages has and the others do not.
_WORDS = {
    "English": "the of and with without there are this that was were what which from has have been or",
    "Spanish": "el los las una del y con para sin presencia hay mediante sus derecho izquierdo",
    "Portuguese": "os uma da dos das com não ao são foi à direita esquerda sem",
    "French": "le les des du et avec sans dans est aux sur une pas droit gauche d'un",
    "German": "der und mit ist nicht kein keine ein eine einer ohne rechts links auf wird des",
    "Italian": "il della di alla nel dei gli delle con senza sono si lato",
    "Dutch": "het een van niet geen met zonder voor aan bij rechts zijn naar",
}
_SMALL = {name: frozenset(words.split()) for name, words in _WORDS.items()}
ENOUGH = 3  # small words of a language that make a text one of it

COUNTED = {"blanks of de-identification (XXXX, ___)": re.compile(r"X{3,}|_{2,}")}
FLAGGED = {
    "a placeholder of de-identification": re.compile(
        r"\[\*\*.*?\*\*\]|[<\[](?:NAME|DATE|PHI|PATIENT|DOCTOR|HOSPITAL|LOCATION|ID)\d*[>\]]"
    ),
    "a date": re.compile(
        r"(?<![\d/.-])(?:(?:0?[1-9]|1[0-2])([/-])(?:0?[1-9]|[12]\d|3[01])\1(?:19|20)?\d\d|(?:0?[1-9]|[12]\d|3[01])([/.])(?:0?[1-9]|1[0-2])"
        r"\2(?:19|20)\d\d|(?:19|20)\d\d-[01]\d-[0-3]\d)(?![\d/-])"
        r"|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* \d{1,2}(?:st|nd|rd|th)?,? (?:19|20)\d\d\b"
    ),
    "a phone number": re.compile(r"(?<!\d)(?:\+\d{1,2}[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?!\d)"),
    "a name after a title": re.compile(r"\b(?:Drs?|Mrs?|Ms|Prof)\b\.? +(?!X{2})[A-Z][a-z]{2,}"),
    "an address of mail": re.compile(r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}"),
    "a record number": re.compile(r"\b(?:MRN|[Aa]ccession)\W{0,3}(?:number|no)?\W{0,3}\d{4,}"),
}
_DAMAGE = re.compile(
    r"[\u00c2\u00c3][\u0080-\u00bf\u20ac\u201a-\u201e\u2020-\u2022]|\u00e2[\u0080-\u00bf\u20ac]|\u00ef\u00bb\u00bf|\ufffd"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|&(?:amp|lt|gt|quot|nbsp|#\d+);|\\u[0-9a-f]{4}"
)


def empty(text: str) -> bool:
    """Whether a text that is there holds no letter and no digit."""
    return not any(letter.isalnum() for letter in text)


def language(text: str) -> str:
    """The language or script of a text, "" where too little of it is there to say."""
    letters = sum(letter.isalpha() for letter in text)
    for script, pattern in _LETTERS.items():
        if 2 * len(pattern.findall(text)) > letters:
            return script
    words = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    hits = {name: sum(words[word] for word in small) for name, small in _SMALL.items()}
    best = max(hits, key=hits.get)
    others = [count for name, count in hits.items() if name != best]
    return best if hits[best] >= ENOUGH and hits[best] > 2 * max(others) else ""


def damage(text: str) -> str:
    """The place where the encoding of a text was damaged, with a few letters on both sides; "" if it is sound."""
    return _around(_DAMAGE.search(text))


def residue(text: str, patterns: dict[str, re.Pattern] = FLAGGED) -> dict[str, str]:
    """{what was found: its place in the text} for each kind of residue in a text."""
    return {name: _around(match) for name, pattern in patterns.items() if (match := pattern.search(text))}


def _around(match: re.Match | None) -> str:
    if match is None:
        return ""
    text, start, end = match.string, max(0, match.start() - 20), match.end() + 20
    return "\u2026" * (start > 0) + " ".join(text[start:end].split()) + "\u2026" * (end < len(text))
