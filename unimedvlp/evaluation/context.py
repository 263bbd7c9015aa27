"""Is a phrase of a radiology report affirmed, negated or uncertain? A compact ConText (Harkema et al. 2009).

A trigger ("no evidence of", "cannot be excluded") acts forwards or backwards on what stands in its sentence, up to a word
that ends its scope ("but", "there is"). Pseudo-triggers ("no change in") look like triggers and are not. The trigger that
stands nearest to the phrase decides. Written here with regular expressions, rather than taken from a library, because
medspaCy does not install on Python 3.12 and later, and the others are unmaintained (pyConTextNLP) or only negate
(negspaCy); this one is deterministic and labels about a thousand reports a second.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

POSITIVE, UNCERTAIN, NEGATIVE, UNMENTIONED = "positive", "uncertain", "negative", "unmentioned"

_SEEN = r"(?:seen|identified|visuali[sz]ed|noted|present|demonstrated|appreciated|evident|detected|found|suspected|observed)"
_BE = r"(?:is|are|was|were|has been|have been)"
# Order matters: at one place the first that matches is taken. `None` marks pseudo-triggers and ends of scope.
_RULES: tuple[tuple[str | None, str, str], ...] = (
    (
        None,
        "pseudo",
        r"(?:no|without)(?: \w+){0,2} (?:change|increase|progression|interval)(?: in| of)?|not only|no longer than",
    ),
    (None, "pseudo", r"to (?:suggest|indicate)|no doubt"),
    (
        UNCERTAIN,
        "forward",
        r"(?:cannot|can ?not|could not|can't|not)(?: be)? (?:entirely |completely |definitely )?(?:exclude|rule out)d?",
    ),
    (UNCERTAIN, "forward", r"(?:difficult|hard) to (?:exclude|rule out)|not (?:entirely |completely )?excluding"),
    (
        UNCERTAIN,
        "backward",
        r"(?:cannot|can ?not|could not|not)(?: \w+)? be (?:\w+ )?(?:excluded|ruled out)|(?:is|are) not (?:\w+ )?excluded",
    ),
    (
        UNCERTAIN,
        "backward",
        rf"{_BE} (?:possible|suspected|questioned|considered|in the differential)|(?:is|are) (?:not )?unlikely",
    ),
    (
        UNCERTAIN,
        "forward",
        r"(?:may|might|could|can)(?: also| well)? (?:represent|be|reflect|indicate|suggest|relate|have)\w*",
    ),
    (
        UNMENTIONED,
        "forward",
        r"if (?:\w+ ){0,4}(?:concern|suspicion)(?: for| of)?|rule out|r/o|to (?:evaluate|assess) for|evaluation (?:for|of)",
    ),
    (UNCERTAIN, "forward", r"(?:suspicious|suspicion|concern|concerning|worrisome) (?:for|of)"),
    (
        UNCERTAIN,
        "forward",
        r"possib(?:le|ly|ility)(?: of)?|probabl[ey]|questionabl[ey]|question of|likely|suspect(?:ed)?|suspected",
    ),
    (
        UNCERTAIN,
        "forward",
        r"suggest(?:s|ing|ive|ed)?(?: of| that)?|equivocal|differential|versus|vs\.?|presumed|potential(?:ly)?|appears? to be",
    ),
    (UNCERTAIN, "backward", r"versus|vs\.?"),
    (
        NEGATIVE,
        "backward",
        rf"{_BE} not (?:\w+ ){{0,2}}{_SEEN}|not (?:\w+ )?{_SEEN}|{_BE} (?:absent|excluded|ruled out)",
    ),
    (
        NEGATIVE,
        "backward",
        r"(?:has|have) (?:\w+ )?(?:resolved|cleared)|(?:is|are) (?:\w+ )?resolved|none (?:seen|identified)",
    ),
    (
        NEGATIVE,
        "backward",
        r"(?:has|have) (?:\w+ )?been (?:\w+ )?removed|within (?:the )?(?:limits of normal|normal limits)",
    ),
    (NEGATIVE, "forward", r"removal of|clear(?= air)"),
    (
        NEGATIVE,
        "forward",
        r"no (?:\w+ )?(?:evidence|sign|signs|suggestion|indication|findings?)(?: \w+)? (?:of|for|to suggest)",
    ),
    (
        NEGATIVE,
        "forward",
        r"negative for|free (?:of|from)|clear of|absence of|absent|lack of|rather than|resolution of|resolved|no|nor|not|without|neither|denies|excludes?",
    ),
    (
        None,
        "end",
        r"but|however|although|though|except(?: for| that)?|with the exception of|apart from|aside from|other than|besides",
    ),
    (
        None,
        "end",
        r"there (?:is|are|has|have)(?! no)|which|secondary to|due to|because|since|as well as a|again (?:seen|noted|demonstrated)|otherwise|consistent with|compatible with|stable|unchanged",
    ),
)
_TRIGGERS = [re.compile(rf"\b(?:{pattern})(?!\w)") for _, _, pattern in _RULES]
_SENTENCE = re.compile(r"(?<=[.?!;])\s+|\n+|(?<=\s)\.(?=\s|$)")


@dataclass(frozen=True)
class Trigger:
    """One trigger in a sentence: characters start to end, what it says (None: ends scopes) and where it acts."""

    start: int
    end: int
    says: str | None
    acts: str


def sentences(text: str) -> Iterator[str]:
    """Lower-case sentences of a report, raw or cleaned (" . " between sentences); never empty."""
    for sentence in _SENTENCE.split(text.lower()):
        if sentence.strip(" .\n"):
            yield sentence


def triggers(sentence: str) -> list[Trigger]:
    """Triggers and ends of scope, in order; where two overlap, the rule that stands first wins (both may act if equal)."""
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
    """POSITIVE, UNCERTAIN or NEGATIVE for the phrase at characters start to end of the sentence of these triggers, or
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
