"""Topologies from their names, and what a chip's numbers imply."""

import pytest

from unimedvlp.errors import UserError
from unimedvlp.plan.hardware import CHIPS, parse
from unimedvlp.training.devices import PEAK_TFLOPS


def test_a_topology():
    pod = parse("v5p:4x4x8", slices=2)
    assert (pod.name, pod.chips, str(pod)) == ("v5p:4x4x8", 256, "2 x v5p:4x4x8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v9:2x2", "unknown chip 'v9'; known: v4, v5e"),
        ("v5e", "a v5e slice has 2 sides, as in v5e:16x16"),
        ("v5p:4x4", "a v5p slice has 3 sides, as in v5p:4x4x8"),
        ("v5e:0x4", "2 sides"),
        ("h100:8", "unknown chip 'h100'"),
    ],
)
def test_what_does_not_exist_is_explained(text, message):
    with pytest.raises(UserError, match=message):
        parse(text)


def test_no_slices():
    with pytest.raises(UserError, match="at least 1"):
        parse("v5e:2x2", 0)


@pytest.mark.parametrize(("kind", "gigahertz"), [("v4", 1.05), ("v5e", 1.5), ("v5p", 1.75), ("v6e", 1.75)])
def test_clocks(kind, gigahertz):
    assert CHIPS[kind].clock == pytest.approx(gigahertz * 1e9, rel=0.01)


def test_peaks_agree_with_those_of_training():
    assert {f"TPU {kind}": chip.peak / 1e12 for kind, chip in CHIPS.items()}.items() <= PEAK_TFLOPS.items()
