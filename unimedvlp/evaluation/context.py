"""Is a phrase of a radiology report affirmed, negated or uncertain? A compact ConText (Harkema et al. 2009).

A trigger ("no evidence of", "cannot be excluded") acts forwards or backwards on what stands in its sentence, up to a
word that ends its scope ("but", "there is"). Pseudo-triggers ("no change in") look like triggers and are not. The
trigger that stands nearest to the phrase decides. Written here with regular expressions, rather than taken from a
library, because medspaCy does not install on Python 3.12 and later, and the others are unmaintained (pyConTextNLP) or
only negate (negspaCy); this one is deterministic and labels several thousand reports a second.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

POSITIVE, UNCERTAIN, NEGATIVE, UNMENTIONED = "positive", "uncertain", "negative", "unmentioned"

_SEEN = (
    "(?:seen|identified|visuali[sz]ed|noted|present|demonstrated|appreciated|evident|detected|found|suspected|observed)"
)
_BE = "(?:is|are|was|were|has been|have been)"

# (what the phrase then is, where the trigger acts, phrases). Of two triggers that overlap, the earlier rule wins.
_RULES: tuple[tuple[str, str, str], ...] = (
    ("", "pseudo", r"(?:no|without)(?: \w+){0,2} (?:change|increase|progression|interval)(?: in| of)?"),
    ("", "pseudo", "not only|no longer than|to (?:suggest|indicate)|no doubt"),
    (UNCERTAIN, "forward", "(?:cannot|can ?not|could not|can't|not)(?: entirely| completely)? (?:exclude|rule out)"),
    (UNCERTAIN, "forward", "(?:difficult|hard) to (?:exclude|rule out)|not (?:entirely |completely )?excluding"),
    (UNCERTAIN, "backward", r"(?:cannot|can ?not|could not|not)(?: \w+)? be (?:\w+ )?(?:excluded|ruled out)"),
    (UNCERTAIN, "backward", r"(?:is|are) not (?:\w+ )?excluded|(?:is|are) (?:not )?unlikely"),
    (UNCERTAIN, "backward", rf"{_BE} (?:possible|suspected|questioned|considered|in the differential)"),
    (UNCERTAIN, "forward", "(?:may|might|could|can)(?: also| well)? (?:represent|be|reflect|indicate|suggest|have)"),
    (UNMENTIONED, "forward", r"if (?:\w+ ){0,4}(?:concern|suspicion)(?: for| of)?|rule out|r/o"),
    (UNMENTIONED, "forward", "to (?:evaluate|assess) for|evaluation (?:for|of)"),
    (UNCERTAIN, "forward", "(?:suspicious|suspicion|concern|concerning|worrisome) (?:for|of)|question of"),
    (UNCERTAIN, "forward", "possib(?:le|ly|ility)(?: of)?|probabl[ey]|questionabl[ey]|likely|suspect(?:ed)?"),
    (UNCERTAIN, "forward", "suggest(?:s|ing|ive|ed)?(?: of| that)?|appears? to be|presumed|potential(?:ly)?"),
    (UNCERTAIN, "forward", r"question|equivocal|differential|versus|vs\.?"),
    (UNCERTAIN, "backward", r"versus|vs\.?"),
    (NEGATIVE, "backward", rf"{_BE} not (?:\w+ ){{0,2}}{_SEEN}|not (?:\w+ )?{_SEEN}|none (?:seen|identified)"),
    (NEGATIVE, "backward", rf"{_BE} (?:absent|excluded|ruled out)|(?:is|are) (?:\w+ )?resolved"),
    (NEGATIVE, "backward", r"(?:has|have) (?:\w+ )?(?:resolved|cleared|been (?:\w+ )?removed)"),
    (NEGATIVE, "backward", "within (?:the )?(?:limits of normal|normal limits)"),
    (NEGATIVE, "forward", r"no (?:\w+ )?(?:evidence|signs?|suggestion|indication|findings?)(?: \w+)? (?:of|for)"),
    (NEGATIVE, "forward", "negative for|free (?:of|from)|clear of|clear(?= air)|absence of|absent|lack of|removal of"),
    (NEGATIVE, "forward", "rather than|resolution of|resolved|no|nor|not|without|neither|denies|excludes?"),
    ("", "end", "but|however|although|though|except(?: for| that)?|with the exception of|apart from|aside from"),
    (
        "",
        "end",
        "other than|besides|there (?:is|are|has|have)(?! no)|which|secondary to|due to|because|since|otherwise",
    ),
    ("", "end", "as well as a|again (?:seen|noted|demonstrated)|consistent with|compatible with|stable|unchanged"),
)
_TRIGGERS = [re.compile(rf"\b(?:{phrases})(?!\w)") for _, _, phrases in _RULES]
_SENTENCE = re.compile(r"(?<=[.?!;])\s+|\n+|(?<=\s)\.(?=\s|$)")


@dataclass(frozen=True)
class Trigger:
    """One trigger in a sentence: characters start to end, what its phrase then is and where it acts."""

    start: int
    end: int
    says: str
    acts: str


def sentences(text: str) -> Iterator[str]:
    """Lower-case sentences of a report, raw or cleaned (" . " between sentences); never empty."""
    for sentence in _SENTENCE.split(text.lower()):
        if sentence.strip(" .\n"):
            yield sentence


def triggers(sentence: str) -> list[Trigger]:
    """Triggers and ends of scope, in order of place. Equal spans ("versus") may act both ways."""
    found: list[Trigger] = []
    for (says, acts, _), pattern in zip(_RULES, _TRIGGERS, strict=True):
        for match in pattern.finditer(sentence):
            start, end = match.span()
            if all(
                end <= other.start or other.end <= start or (start, end) == (other.start, other.end) for other in found
            ):
                found.append(Trigger(start, end, says, acts))
    return sorted((trigger for trigger in found if trigger.acts != "pseudo"), key=lambda trigger: trigger.start)


def status(found: list[Trigger], start: int, end: int) -> str:
    """POSITIVE, UNCERTAIN or NEGATIVE for the phrase at characters start to end of the sentence with these triggers.

    UNMENTIONED where the phrase is only what somebody looks for ("to evaluate for pneumonia").

    A trigger inside the phrase ("heart is not enlarged") acts on it, whatever its direction.
    """
    ends = [trigger for trigger in found if trigger.acts == "end"]
    distances = {}
    for trigger in found:
        if trigger.acts == "end":
            continue
        if start <= trigger.start < end:
            distances[trigger] = 0
        elif trigger.acts == "forward" and trigger.end <= start:
            if not any(trigger.end <= stop.start < start for stop in ends):
                distances[trigger] = start - trigger.end
        elif (
            trigger.acts == "backward"
            and trigger.start >= end
            and not any(end <= stop.start < trigger.start for stop in ends)
        ):
            distances[trigger] = trigger.start - end
    return min(distances, key=distances.get).says if distances else POSITIVE
