"""One sequence form for every annotation, and its exact inverse.

A sequence has three parts: `context` is what the text encoder reads, `prompt` is what the decoder is given, `response` is
what it must say, ending in EOS. The forms follow our reconstruction of UniMed's composed decoder (BOS task modality ...).
The inverses read a response alone and return None for one that is malformed.
"""

from collections.abc import Iterable
from typing import NamedTuple

from unimedvlp.errors import UserError
from unimedvlp.records import NEGATIVE, POSITIVE, UNCERTAIN
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

VALUE_TOKENS = {POSITIVE: v.POS, NEGATIVE: v.NEG, UNCERTAIN: v.UNCERTAIN}
_TOKEN_VALUES = {token: value for value, token in VALUE_TOKENS.items()}


class Sequence(NamedTuple):
    """Ids of one example: context (may be empty), prompt and response.

    Training may ask for something else than it feeds: `target` and `weight`, as long as the response, then say what must be
    said at each place and how much it counts; None is the response itself, and 1. `dropped` counts what did not fit.
    """

    context: list[int]
    prompt: list[int]
    response: list[int]
    target: list[int] | None = None
    weight: list[float] | None = None
    dropped: int = 0


def head(space: TokenSpace, task: str, modality: str) -> list[int]:
    """`BOS task modality`, with which every prompt begins."""
    return [v.BOS, space.vocabulary.task(task), space.vocabulary.modality(modality)]


def classification(space: TokenSpace, modality: str, name: str) -> Sequence:
    """Single label: `BOS classify modality` -> `class EOS`."""
    return Sequence([], head(space, "classify", modality), [space.vocabulary.class_id(name), v.EOS])


def read_classification(response: Iterable[int], space: TokenSpace) -> str | None:
    """The class name of a single-label response."""
    ids = until_end(response)
    return space.vocabulary.class_name(ids[0]) if ids is not None and len(ids) == 1 else None


def finding(space: TokenSpace, modality: str, name: str, value: str) -> Sequence:
    """Multi-label, one query a finding: `BOS findings modality class` -> `POS|NEG|UNCERTAIN EOS`."""
    prompt = [*head(space, "findings", modality), space.vocabulary.class_id(name)]
    return Sequence([], prompt, [VALUE_TOKENS[value], v.EOS])


def read_finding(response: Iterable[int]) -> str | None:
    """The value (positive, negative, uncertain) of a finding's response."""
    ids = until_end(response)
    return _TOKEN_VALUES.get(ids[0]) if ids is not None and len(ids) == 1 else None


def report(space: TokenSpace, modality: str, text: str, findings: Iterable[str] | None = None) -> Sequence:
    """Report: `BOS report modality` -> `text EOS`; with `findings`, these are named first: -> `class* SEP text EOS`."""
    plan = [] if findings is None else [*sorted(map(space.vocabulary.class_id, findings)), v.SEP]
    return Sequence([], head(space, "report", modality), [*plan, *space.encode_text(text), v.EOS])


def read_report(response: Iterable[int], space: TokenSpace) -> str | None:
    """The text of a report, without the findings that it may begin with."""
    ids = list(until_end(response, cut=True))
    return read_text(ids[ids.index(v.SEP) + 1 :] if v.SEP in ids else ids, space)


def caption(space: TokenSpace, modality: str, text: str) -> Sequence:
    """Caption: `BOS caption modality` -> `text EOS`."""
    return Sequence([], head(space, "caption", modality), [*space.encode_text(text), v.EOS])


def summary(space: TokenSpace, modality: str, findings: str, impression: str, task: str = "summarise") -> Sequence:
    """Summary: findings in the context, `BOS task modality` -> `impression EOS`."""
    prompt = head(space, task, modality)
    return Sequence(space.encode_text(findings), prompt, [*space.encode_text(impression), v.EOS])


def pair(space: TokenSpace, modality: str, text: str) -> Sequence:
    """An image with its text, for retrieval and pre-training: the text in the context, `BOS retrieve modality`, no response."""
    return Sequence(_context(space, text), head(space, "retrieve", modality), [])


def text_choice(space: TokenSpace, task: str, modality: str, text: str, name: str) -> Sequence:
    """A class chosen by a text, with or without an image: the text in the context, `BOS task modality` -> `class EOS`."""
    return Sequence(_context(space, text), head(space, task, modality), [space.vocabulary.class_id(name), v.EOS])


def inference(space: TokenSpace, premise: str, hypothesis: str, relation: str) -> Sequence:
    """Does the hypothesis follow? `premise SEP hypothesis` in the context, `BOS infer text` -> `class EOS`."""
    context = [*_context(space, premise), v.SEP, *_context(space, hypothesis)]
    return Sequence(context, head(space, "infer", "text"), [space.vocabulary.class_id(relation), v.EOS])


def _context(space: TokenSpace, text: str) -> list[int]:
    if not text.strip():
        raise UserError("a text for the encoder is empty; leave such records out")
    return space.encode_text(text)


def answer(space: TokenSpace, modality: str, question: str, text: str, encoded: bool = False) -> Sequence:
    """Question answering: `BOS answer modality question SEP` -> `text EOS`; the question in the context if `encoded`."""
    prompt, response = head(space, "answer", modality), [*space.encode_text(text), v.EOS]
    if encoded:
        return Sequence(_context(space, question), prompt, response)
    return Sequence([], [*prompt, *space.encode_text(question), v.SEP], response)


def read_question(prompt: Iterable[int], space: TokenSpace) -> str:
    """The question of an answer's prompt."""
    return space.decode_text(prompt)


def read_text(response: Iterable[int], space: TokenSpace) -> str | None:
    """The text of a response, or None where it holds ids of another range. A response cut off before EOS is read so far."""
    ids = list(until_end(response, cut=True))
    if any(i < v.TEXT_START for i in ids):
        return None
    return space.decode_text(ids)


def until_end(response: Iterable[int], cut: bool = False) -> list[int] | None:
    """Ids before EOS. A response without EOS is None, or all of it up to padding with `cut`."""
    ids = [int(i) for i in response]
    if v.EOS in ids:
        return ids[: ids.index(v.EOS)]
    if not cut:
        return None
    return ids[: ids.index(v.PAD)] if v.PAD in ids else ids
