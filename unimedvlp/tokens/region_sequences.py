"""Sequences of boxes, outlines and codes, several tasks in one response, and their exact inverses up to quantisation.

Forms after our reconstruction of UniMed's composed decoder and pix2seq (Chen et al., 2022). Coordinates are bins of the
image that the encoder sees; the inverses read a response alone and return None for one that is malformed.
"""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as List
from typing import Any, NamedTuple

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.tokens import geometry, sequences
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.box_noise import Noise, corrupted, noise_boxes
from unimedvlp.tokens.sequences import Sequence, head, until_end
from unimedvlp.tokens.space import TokenSpace

MAX_OBJECTS = 20
OBJECT_TOKENS = 5  # ymin xmin ymax xmax class


class Detected(NamedTuple):
    """Boxes float32 [K, 4] (ymin xmin ymax xmax in 0..1) and the class of each; None is NOISE."""

    boxes: np.ndarray
    classes: tuple[str | None, ...]


def detection(
    space: TokenSpace,
    modality: str,
    boxes: np.ndarray,
    classes: List[str],
    rng: np.random.Generator | None = None,
    *,
    objects: int = MAX_OBJECTS,
    noise: Noise | None = None,
) -> Sequence:
    """Detection: `BOS detect modality` -> `(ymin xmin ymax xmax class)* EOS` of boxes [K, 4] in 0..1.

    `rng` puts the objects in random order, without it they stay in theirs; those beyond `objects` are dropped and counted.
    `noise` fills the slots up to `objects` and sets `target` and `weight`; it needs `rng`.
    """
    return _detection(space, modality, boxes, classes, _order(len(classes), objects, rng), rng, objects, noise)


def detection_and_masks(
    space: TokenSpace,
    modality: str,
    boxes: np.ndarray,
    classes: List[str],
    masks: List[np.ndarray],
    rng: np.random.Generator | None = None,
    *,
    objects: int = MAX_OBJECTS,
    noise: Noise | None = None,
    points: int = geometry.MAX_POINTS,
) -> list[tuple[str, Sequence]]:
    """Parts for `combined`: a detection, then the segmentation of every object it kept, in its order; masks [K] of [H, W]."""
    if len(masks) != len(classes):
        raise UserError(f"{len(classes)} boxes have {len(masks)} masks")
    order = _order(len(classes), objects, rng)
    found = _detection(space, modality, boxes, classes, order, rng, objects, noise)
    return [("detect", found), *(("segment", outline(masks[i], points)) for i in order)]


def read_detection(response: Iterable[int], space: TokenSpace, noise: bool = False) -> Detected | None:
    """The objects of a detection's response. With `noise`, boxes labelled NOISE are kept, so that the class token of box i
    stands at place 5 i + 4 and every box can be scored by its probabilities."""
    ids = until_end(response)
    if ids is None or len(ids) % OBJECT_TOKENS:
        return None
    table = np.array(ids, int).reshape(-1, OBJECT_TOKENS)
    names = [space.vocabulary.class_name(token) for token in table[:, 4]]
    if any(name is None and token != v.NOISE for name, token in zip(names, table[:, 4], strict=True)):
        return None
    boxes = _read_boxes(table[:, :4])
    if boxes is None:
        return None
    kept = [i for i, name in enumerate(names) if noise or name is not None]
    return Detected(boxes[kept], tuple(names[i] for i in kept))


def segmentation(
    space: TokenSpace,
    modality: str,
    name: str,
    mask: np.ndarray,
    *,
    box: np.ndarray | None = None,
    points: int = geometry.MAX_POINTS,
) -> Sequence:
    """Segmentation: `BOS segment modality class [ymin xmin ymax xmax]` -> `y x y x ... (SEP y x ...)* EOS`, or `NEG EOS`.

    `mask` [H, W], non-zero inside, is what the image shows of the class, or of the one object in `box` [4]. Its components
    follow each other, largest first; see `geometry.polygons` for the points. Those without a place are dropped and counted.
    """
    prompt = [*head(space, "segment", modality), space.vocabulary.class_id(name)]
    if box is not None:
        prompt += _coordinates(geometry.check_boxes(np.asarray(box)[None]))
    return outline(mask, points)._replace(prompt=prompt)


def outline(mask: np.ndarray, points: int = geometry.MAX_POINTS) -> Sequence:
    """The response of a segmentation without its prompt, as a part behind `detect` or `refer` needs it."""
    parts, dropped = geometry.polygons(mask, points)
    response = [i for part in parts for i in (v.SEP, *_coordinates(part))][1:] or [v.NEG]
    return Sequence([], [], [*response, v.EOS], dropped=dropped)


def read_segmentation(response: Iterable[int]) -> list[np.ndarray] | None:
    """The polygons float32 [k, 2] of a segmentation's response, none for an empty mask; `geometry.rasterize` fills them."""
    ids = until_end(response)
    if ids == [v.NEG]:
        return []
    if ids is None:
        return None
    parts = [_read_coordinates(part) for part in _split(ids, v.SEP)]
    if any(part is None or len(part) % 2 or len(part) < 2 * geometry.MIN_POINTS for part in parts):
        return None
    return [part.reshape(-1, 2) for part in parts]


def referral(space: TokenSpace, modality: str, phrase: str, box: np.ndarray | None) -> Sequence:
    """Referring expression: `BOS refer modality phrase SEP` -> `ymin xmin ymax xmax EOS`, or `NEG EOS` where nothing fits."""
    prompt = [*head(space, "refer", modality), *space.encode_text(phrase), v.SEP]
    body = [v.NEG] if box is None else _coordinates(geometry.check_boxes(np.asarray(box)[None]))
    return Sequence([], prompt, [*body, v.EOS])


def read_referral(response: Iterable[int]) -> np.ndarray | None:
    """The box of a referral's response as float32 [1, 4], or [0, 4] for NEG."""
    ids = until_end(response)
    if ids == [v.NEG]:
        return np.zeros((0, 4), np.float32)
    return _read_boxes(np.array(ids)[None]) if ids is not None and len(ids) == 4 else None


def mask_codes(space: TokenSpace, modality: str, name: str, codes: Iterable[int]) -> Sequence:
    """Segmentation by codes of a mask autoencoder: `BOS segment modality class MASK` -> `code ... EOS`."""
    prompt = [*head(space, "segment", modality), space.vocabulary.class_id(name), v.MASK]
    return Sequence([], prompt, [*_codes(codes, v.MASK_CODE_START, v.MASK_CODES), v.EOS])


def image_codes(space: TokenSpace, modality: str, codes: Iterable[int], text: str = "") -> Sequence:
    """An image's codes: from a text in the context, `BOS generate_image modality` -> `code ... EOS`; without a text, from
    the image as the encoder sees it (masked in training), `BOS reconstruct modality` -> `code ... EOS`."""
    prompt = head(space, "generate_image" if text else "reconstruct", modality)
    return Sequence(space.encode_text(text), prompt, [*_codes(codes, v.IMAGE_CODE_START, v.IMAGE_CODES), v.EOS])


def read_mask_codes(response: Iterable[int]) -> np.ndarray | None:
    """Codes int [n] of a mask."""
    return _read_codes(response, v.MASK_CODE_START, v.MASK_CODES)


def read_image_codes(response: Iterable[int]) -> np.ndarray | None:
    """Codes int [n] of an image."""
    return _read_codes(response, v.IMAGE_CODE_START, v.IMAGE_CODES)


def combined(space: TokenSpace, parts: List[tuple[str, Sequence]], asked: List[str] = ()) -> Sequence:
    """Several tasks of one image in one response: `BOS task task ... modality ...` -> `body (SEP task body)* EOS`.

    `parts` are task names and their own sequences. The prompt is the first one's with the other tasks named in it; of the
    others only the responses remain. Behind `detect` or `refer`, `segment` comes once for every object, in their order; `asked`
    names the other tasks where there may be no object, so that the prompt does not tell.
    """
    (_, first), *rest = parts
    tasks = [space.vocabulary.task(task) for task, _ in parts]
    named = [space.vocabulary.task(task) for task in asked] or dict.fromkeys(tasks[1:])
    prompt = [*first.prompt[:2], *named, *first.prompt[2:]]
    response, target, weight = (list(part) for part in _body(first))
    for task, (_, part) in zip(tasks[1:], rest, strict=True):
        fed, said, counts = _body(part)
        response += [v.SEP, task, *fed]
        target += [v.SEP, task, *said]
        weight += [1.0, 1.0, *counts]
    plain = all(part.target is None and part.weight is None for _, part in parts)
    taught = (None, None) if plain else ([*target, v.EOS], [*weight, 1.0])
    return Sequence(first.context, prompt, [*response, v.EOS], *taught, sum(part.dropped for _, part in parts))


READERS: dict[str, Callable[[list[int], TokenSpace], Any]] = {
    "detect": read_detection,
    "refer": lambda response, space: read_referral(response),
    "segment": lambda response, space: read_segmentation(response),
    "classify": sequences.read_classification,
    "caption": sequences.read_text,
    "report": sequences.read_text,
}


def read_combined(response: Iterable[int], first: str, space: TokenSpace) -> list[tuple[str, Any]] | None:
    """(task, what its reader makes of it) of every part, where `first` names the first part's task.

    None where a part is malformed, or where there is not a `segment` for every object.
    """
    ids = until_end(response)
    if ids is None:
        return None
    starts = [i for i in range(len(ids) - 1) if ids[i] == v.SEP and _task_name(ids[i + 1]) in READERS]
    names = [first, *(_task_name(ids[i + 1]) for i in starts)]
    ends = [*starts, len(ids)]
    bodies = [ids[begin:end] for begin, end in zip([0, *(i + 2 for i in starts)], ends, strict=True)]
    found = [(name, READERS[name]([*body, v.EOS], space)) for name, body in zip(names, bodies, strict=True)]
    if any(value is None for _, value in found):
        return None
    masks = names[1:].count("segment")
    if masks and first in ("detect", "refer"):
        objects = found[0][1].boxes if first == "detect" else found[0][1]
        return found if len(objects) == masks else None
    return found


def _order(count: int, limit: int, rng: np.random.Generator | None) -> np.ndarray:
    return (np.arange(count) if rng is None else rng.permutation(count))[:limit]


def _detection(space, modality, boxes, classes, order, rng, objects, noise) -> Sequence:
    """`detection` of the objects in `order`."""
    boxes = geometry.check_boxes(boxes)
    if len(classes) != len(boxes):
        raise UserError(f"{len(boxes)} boxes have {len(classes)} classes")
    dropped, boxes = len(boxes) - len(order), boxes[order]
    ids = np.array([space.vocabulary.class_id(classes[i]) for i in order], int)
    prompt = head(space, "detect", modality)
    if noise is None:
        return Sequence([], prompt, [*_objects(boxes, ids), v.EOS], dropped=dropped)
    if rng is None:
        raise ValueError("noise needs rng")
    real = np.arange(objects) < len(boxes)
    boxes = np.concatenate([boxes, noise_boxes(boxes, objects - len(boxes), rng, noise.jitter)])
    ids = np.concatenate([ids, np.full(objects - len(ids), v.NOISE)])
    fed = corrupted(ids, len(space.vocabulary.classes), rng, noise.corruption)
    weight = np.where(np.arange(OBJECT_TOKENS) < 4, real[:, None], True).astype(float)
    response, target = ([*_objects(boxes, classes), v.EOS] for classes in (fed, ids))
    return Sequence([], prompt, response, target, [*weight.ravel().tolist(), noise.end_weight], dropped)


def _body(part: Sequence) -> tuple[list[int], list[int], list[float]]:
    """Fed ids, ids to say and weights of a response without its EOS."""
    target = part.response if part.target is None else part.target
    weight = [1.0] * len(part.response) if part.weight is None else part.weight
    return part.response[:-1], target[:-1], weight[:-1]


def _task_name(token: int) -> str | None:
    index = token - v.TASK_START
    return v.TASKS[index] if 0 <= index < len(v.TASKS) else None


def _split(ids: list[int], separator: int) -> list[list[int]]:
    ends = [i for i, token in enumerate(ids) if token == separator] + [len(ids)]
    return [ids[begin:end] for begin, end in zip([0, *(i + 1 for i in ends)], ends, strict=False)]


def _coordinates(values: np.ndarray) -> list[int]:
    return (v.COORDINATE_START + geometry.quantize(values)).ravel().tolist()


def _objects(boxes: np.ndarray, classes: np.ndarray) -> list[int]:
    """Ids of boxes [K, 4] and class ids [K], object by object."""
    return np.hstack([v.COORDINATE_START + geometry.quantize(boxes), classes[:, None]]).ravel().tolist()


def _read_coordinates(ids: List[int]) -> np.ndarray | None:
    """Coordinate ids of any shape as fractions, or None where one is of another range."""
    bins = np.asarray(ids, int) - v.COORDINATE_START
    return geometry.dequantize(bins) if ((bins >= 0) & (bins < v.COORDINATE_BINS)).all() else None


def _read_boxes(ids: np.ndarray) -> np.ndarray | None:
    """Boxes of coordinate ids [K, 4], or None where one ends before it begins."""
    boxes = _read_coordinates(ids)
    return None if boxes is None or (boxes[:, 2:] < boxes[:, :2]).any() else boxes


def _codes(codes: Iterable[int], start: int, count: int) -> list[int]:
    codes = [int(code) for code in codes]
    if not codes or min(codes) < 0 or max(codes) >= count:
        raise UserError(f"codes must be some numbers in 0..{count - 1}")
    return [start + code for code in codes]


def _read_codes(response: Iterable[int], start: int, count: int) -> np.ndarray | None:
    ids = until_end(response)
    if not ids or min(ids) < start or max(ids) >= start + count:
        return None
    return np.array(ids) - start
