"""Images without their labels: asked nothing, taught nothing, of any record with an image."""

from unimedvlp import tasks
from unimedvlp.records import Record
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import BOS, EOS, MODALITY_START, TASK_START

SPACE = TokenSpace.create(("nodule",), text.train(["nodule"], size=60))


def test_rows_weigh_nothing_and_carry_no_annotation():
    task = tasks.build("unlabelled")
    record = Record(
        "s", images=(b"\x89PNG\r\n\x1a\n",), views=("frontal",), modality="xray", labels={"nodule": "positive"}
    )
    assert task.serves(record) and not task.labelled
    assert not task.serves(Record("t", text="only words"))
    row = task.sequence(record, task.units(record)[0], SPACE)
    assert row.prompt[0] == BOS and TASK_START <= row.prompt[1] < MODALITY_START <= row.prompt[2]
    assert (row.response, row.weight) == ([EOS], [0.0])
