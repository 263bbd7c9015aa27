"""The shuffled-image control."""

from data_pipelines.shuffled import ShuffledImages
from unimedvlp.records import Record


def test_no_record_keeps_its_images_and_all_else_stays():
    source = [
        Record(f"s{i}", images=(b"%d" % i,) if i % 3 else (), views=("frontal",) * bool(i % 3)) for i in range(12)
    ]
    shuffled = ShuffledImages(source, seed=1)
    assert len(shuffled) == 12 and [r.study_id for r in shuffled] == [r.study_id for r in source]
    for before, after in zip(source, shuffled, strict=True):
        assert bool(before.images) == bool(after.images) and len(after.images) == len(after.views)
        assert not before.images or before.images != after.images
    assert sorted(r.images for r in shuffled) == sorted(r.images for r in source)
    assert [r.images for r in ShuffledImages(source, seed=1)] == [r.images for r in shuffled]
