"""The largest batch that fits, with a memory that is known."""

import pytest

from unimedvlp.plan.estimate import DoesNotFit
from unimedvlp.plan.search import largest


@pytest.mark.parametrize("room", [1, 2, 3, 13, 100])
def test_within_an_eighth_of_the_truth(room):
    tried = []

    def make(size):
        tried.append(size)
        if size > room * 4:
            raise DoesNotFit(size, room * 4)
        return size

    found = largest(make, 4)
    assert room * 4 * 7 / 8 <= found <= room * 4 or found == room * 4
    assert all(size % 4 == 0 for size in tried) and len(tried) <= 12


def test_nothing_fits():
    def make(size):
        raise DoesNotFit(20, 16)

    with pytest.raises(DoesNotFit, match=r"needs 20\.00 GiB a chip, 16\.00 GiB are there"):
        largest(make, 8)
