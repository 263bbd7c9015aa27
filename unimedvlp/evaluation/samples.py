"""Samples on the evaluation page: images with boxes and masks, prediction beside truth, differing words marked."""

import base64
import difflib
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from unimedvlp.errors import UserError

SIDE = 320  # longest side of an embedded image, pixels
COLOURS = {"prediction": (240, 140, 50), "truth": (60, 190, 130)}
_DIFFERENCES = ("prediction", "truth")


@dataclass(frozen=True)
class Mark:
    """A box (ymin, xmin, ymax, xmax in 0..1) or a mask (bool [h, w]) on one image of a sample.

    kind: "prediction" or "truth", which chooses the colour unless `colour` is given; label: text beside a box; image: index of
    the image.
    """

    kind: str
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None
    label: str = ""
    image: int = 0
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Sample:
    """images: encoded bytes or uint8 arrays [H, W] or [H, W, C]; fields: title -> text, shown in order.

    Where both "prediction" and "truth" are among the fields, words that only one of them has are marked. captions: a line
    below each image; legend: class -> colour of its marks, shown below the images; side: longest side of images in pixels.
    """

    images: Sequence[bytes | np.ndarray]
    fields: Mapping[str, str]
    marks: Sequence[Mark] = field(default_factory=tuple)
    captions: Sequence[str] = ()
    legend: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    side: int = SIDE


def sample_html(sample: Sample) -> str:
    """One sample as an <article>; every text is escaped."""
    pictures = "".join(_picture(sample, index) for index in range(len(sample.images)))
    texts = {title: html.escape(str(text)) for title, text in sample.fields.items()}
    if all(title in sample.fields for title in _DIFFERENCES):
        texts |= dict(
            zip(_DIFFERENCES, difference(*(str(sample.fields[title]) for title in _DIFFERENCES)), strict=True)
        )
    rows = "".join(f"<dt>{html.escape(title)}</dt><dd>{text or '&mdash;'}</dd>" for title, text in texts.items())
    chips = "".join(
        f'<li><span style="background: rgb{colour}"></span>{html.escape(name)}</li>'
        for name, colour in sample.legend.items()
    )
    figures = f'<div class="images">{pictures}</div>' if pictures else ""
    figures += f'<ul class="legend">{chips}</ul>' if chips else ""
    return f'<article class="sample">{figures}<dl>{rows}</dl></article>'


def difference(prediction: str, truth: str) -> tuple[str, str]:
    """Escaped HTML of both texts: words only predicted are class "extra", words only in the truth class "missed"."""
    said, true = prediction.split(), truth.split()
    matcher = difflib.SequenceMatcher(None, [w.lower() for w in said], [w.lower() for w in true], autojunk=False)
    ours, theirs = [], []
    for tag, a, b, c, d in matcher.get_opcodes():
        ours.append(_mark(said[a:b], "" if tag == "equal" else "extra"))
        theirs.append(_mark(true[c:d], "" if tag == "equal" else "missed"))
    return " ".join(filter(None, ours)), " ".join(filter(None, theirs))


def _picture(sample: Sample, index: int) -> str:
    source = image_uri(sample.images[index], [m for m in sample.marks if m.image == index], sample.side)
    caption = html.escape(sample.captions[index]) if index < len(sample.captions) else ""
    image = f'<img alt="{caption or f"image {index + 1}"}" src="{source}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>" if caption else image


def image_uri(image: bytes | np.ndarray, marks: Sequence[Mark] = (), side: int = SIDE) -> str:
    """A data: URI of the image as `painted` makes it."""
    buffer = io.BytesIO()
    painted(image, marks, side).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def painted(image: bytes | np.ndarray, marks: Sequence[Mark] = (), side: int = SIDE) -> Image.Image:
    """The image, at most `side` pixels long, with masks (and their outlines) and boxes painted on."""
    picture = _open(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    if marks:
        factor = max(1, side // max(picture.size))  # lines stay thin on small images
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
        picture = _paint(picture.convert("RGB"), marks)
    return picture


def _open(image: bytes | np.ndarray) -> Image.Image:
    if isinstance(image, bytes):
        try:
            picture = Image.open(io.BytesIO(image))
            picture.load()
        except OSError as error:
            raise UserError(f"a sample image of {len(image)} bytes cannot be read: {error}") from error
    else:
        array = np.asarray(image)
        if array.dtype != np.uint8:
            raise UserError(f"sample images must be uint8 or encoded bytes, not {array.dtype}")
        picture = Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
    return picture.convert("L" if picture.mode in ("1", "L", "I;16") else "RGB")


def _paint(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    for mark in marks:
        if mark.mask is not None:
            stencil = Image.fromarray(np.asarray(mark.mask, bool)).convert("L").resize(picture.size)
            tint = Image.new("RGB", picture.size, _colour(mark))
            picture = Image.composite(Image.blend(picture, tint, 0.3), picture, stencil)
            picture.paste(tint, mask=ImageChops.difference(stencil, stencil.filter(ImageFilter.MinFilter(3))))
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    for mark in marks:
        if mark.box is not None:
            top, left, bottom, right = mark.box
            corners = (left * width, top * height, right * width, bottom * height)
            draw.rectangle(corners, outline=_colour(mark), width=2)
            place = (corners[0] + 4, corners[1] + 2)
            draw.text(place, mark.label, fill=_colour(mark), stroke_width=1, stroke_fill=(0, 0, 0))
    return picture


def _colour(mark: Mark) -> tuple[int, int, int]:
    return mark.colour or COLOURS[mark.kind]


def _mark(words: Sequence[str], name: str) -> str:
    text = html.escape(" ".join(words))
    return f'<mark class="{name}">{text}</mark>' if text and name else text
