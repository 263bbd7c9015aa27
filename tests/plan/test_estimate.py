"""What the compiler's messages say of memory."""

import pytest

from unimedvlp.plan.estimate import too_big


@pytest.mark.parametrize(
    ("message", "used", "limit"),
    [
        ("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 17.50G of 15.75G hbm.", 17.5, 15.75),
        ("Used 512.00M of 256.00M hbm", 0.5, 0.25),
        (
            "Ran out of memory on HBM, the total memory required for HLO temporaries (95.05G) exceeds available HBM (15.75G).",
            95.05,
            15.75,
        ),
    ],
)
def test_too_little_memory_is_recognised(message, used, limit):
    found = too_big(message)
    assert (found.used, found.limit) == (used, limit)


def test_other_messages_are_not():
    assert too_big("INTERNAL: Mosaic failed to compile TPU kernel") is None
