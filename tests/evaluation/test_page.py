import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from unimedvlp.errors import UserError
from unimedvlp.evaluation import plots
from unimedvlp.evaluation.bootstrap import Value
from unimedvlp.evaluation.page import Page, Row
from unimedvlp.evaluation.samples import SIDE, Mark, Sample, difference, image_uri

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """Collects tags and attributes; checks that every tag that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page):
    reader = Reader()
    reader.feed(page.html())
    assert reader.open == []
    return reader


def full_page(text):
    image = np.random.default_rng(0).integers(0, 255, (500, 400), np.uint8)
    values = {text: Value(0.5, 0.4, 0.6, 10), "n": 3, "note": text, "missing": None, "undefined": float("nan")}
    mark = Mark("prediction", box=(0.1, 0.1, 0.5, 0.5), label=text)
    return (
        Page(text, text)
        .heading(text)
        .text(text)
        .table([Row(text, values, baseline=True), Row("model", {text: Value(0.7, 0.6, 0.8, 10)})], text)
        .figure(plots.bars({"a": Value(0.1, 0.0, 0.2, 5)}), text)
        .samples([Sample([image], {"prediction": text, "truth": "yes", text: text}, [mark])], text)
        .samples([Sample([], {"prediction": text, text: text})], text, folded=True)
    )


def test_texts_from_data_are_escaped():
    reader = read(full_page(EVIL))
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert EVIL not in full_page(EVIL).html()


def test_page_is_self_contained():
    reader = read(full_page("text"))
    sources = [value for name, value in reader.attributes if name in ("src", "href")]
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"url\(|@import|https?:", full_page("text").html())


def test_table_shades_the_best_and_separates_baselines():
    rows = [
        Row("constant", {"score": Value(0.4, 0.3, 0.5, 9), "n": 9}, baseline=True),
        Row("model", {"score": Value(0.6, 0.5, 0.7, 9), "n": 9}),
    ]
    html = Page("t").table(rows, "caption").html()
    assert re.findall(r'<td class="best">([\d.]+)', html) == ["0.600"]
    assert html.index("Trivial baselines") < html.index("constant") < html.index("Systems") < html.index("model")
    assert "0.500 &ndash; 0.700" in html
    assert re.findall(r'<td class="best">([\d.]+)', Page("t").table(rows, "c", best="min").html()) == ["0.400"]
    assert "best" not in Page("t").table(rows, "c", best=None).html().split("</style>")[1]
    with pytest.raises(UserError, match="no rows"):
        Page("t").table([], "caption")


def test_undefined_numbers_are_dashes():
    html = (
        Page("t")
        .table([Row("model", {"a": float("nan"), "b": None, "c": Value(np.nan, np.nan, np.nan, 0)})], "c")
        .html()
    )
    assert html.count("&ndash;</td>") == 3 and "nan" not in html.split("</style>")[1]


def test_difference_marks_words_of_one_side():
    ours, theirs = difference("the heart is big", "the heart is normal today")
    assert ours == 'the heart is <mark class="extra">big</mark>'
    assert theirs == 'the heart is <mark class="missed">normal today</mark>'
    assert difference("Same words", "same words") == ("Same words", "same words")
    assert difference("", "a") == ("", '<mark class="missed">a</mark>')


def embedded(uri):

    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_images_are_shrunk_and_marked():
    grey = np.full((800, 600, 1), 100, np.uint8)
    assert max(embedded(image_uri(grey)).size) == SIDE
    buffer = io.BytesIO()
    Image.fromarray(grey[..., 0]).save(buffer, "PNG")
    assert embedded(image_uri(buffer.getvalue())).size == (240, 320)
    mask = np.zeros((8, 6), bool)
    mask[:4] = True
    painted = np.asarray(embedded(image_uri(grey, [Mark("truth", mask=mask)])), int)
    assert painted.shape == (320, 240, 3)
    assert painted[40, 120, 1] - painted[40, 120, 0] > 20  # green where the mask is
    assert abs(painted[300, 120] - 100).max() < 5


def test_captions_and_legends_are_shown_and_small_images_enlarged_for_marks():
    mark = Mark("truth", (0.1, 0.1, 0.9, 0.9), colour=(1, 2, 3))
    sample = Sample([np.zeros((20, 10), np.uint8)], {}, [mark], ["frontal"], {"<mass>": (1, 2, 3)}, side=100)
    page = Page("x").samples([sample], large=True).notices([("warning", "odd & bad", ["here"])]).html()
    assert "<figcaption>frontal</figcaption>" in page and "rgb(1, 2, 3)" in page and "&lt;mass&gt;" in page
    assert '<li class="warning">' in page and "odd &amp; bad" in page and "<small>here</small>" in page
    uri = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)[1]
    assert Image.open(io.BytesIO(base64.b64decode(uri))).size == (50, 100)


def test_unreadable_image_is_named():
    with pytest.raises(UserError, match="5 bytes cannot be read"):
        image_uri(b"wrong")
    with pytest.raises(UserError, match="float64"):
        image_uri(np.zeros((4, 4)))


def test_write_is_whole_or_nothing(tmp_path, monkeypatch):
    path = Page("first").write(tmp_path / "runs" / "report.html")
    assert "first" in path.read_text()
    broken = Page("second")
    monkeypatch.setattr(broken, "html", lambda: "\ud800")  # cannot be encoded
    with pytest.raises(UnicodeEncodeError):
        broken.write(path)
    assert "first" in path.read_text()
    assert list(path.parent.iterdir()) == [path]


def test_plots_draw_what_they_are_given():
    records = [{"step": s, "loss": 1 / (s + 1)} for s in range(5)] + [{"step": 4, "validation": 0.3}]
    lines = plots.curves(records, ["loss", "validation", "absent"]).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert len(lines) == 2
    with pytest.raises(UserError, match="absent"):
        plots.curves(records, ["absent"])
    bars = plots.bars({"a": Value(0.1, 0.0, 0.2, 5), "b": Value(0.4, 0.3, 0.5, 5)}, ["a"]).axes[0].patches
    assert [bar.get_width() for bar in bars] == [0.4, 0.1]
    labels = np.array([[1, 0], [0, 0], [1, np.nan], [0, 0]], float)
    roc = plots.roc(labels, np.array([[0.9, 0.1]] * 4) * np.arange(1, 5)[:, None] / 4, ["a", "single"]).axes[0]
    assert [text.get_text() for text in roc.get_legend().get_texts()] == ["a"]
    curve = plots.reliability(np.array([0, 0, 1, 1.0]), np.array([0.1, 0.1, 0.9, 0.9]), bins=2).axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), [0, 1])
    with pytest.raises(UserError, match="labels"):
        plots.reliability(np.array([np.nan]), np.array([0.5]))
