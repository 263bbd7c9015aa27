import dataclasses
import logging

import numpy as np
import pytest

from data_pipelines import images, input
from data_pipelines.batch import Example, Tally, collate
from data_pipelines.transforms import Augment
from unimedvlp import tasks
from unimedvlp.errors import UserError
from unimedvlp.records import Question, Record
from unimedvlp.tasks.base import Task
from unimedvlp.tokens import sequences, text
from unimedvlp.tokens import vocabulary as v
from unimedvlp.tokens.space import TokenSpace

SPEC = input.BatchSpec(image_size=32, views=2, channels=1, text_length=24, prompt_length=10, response_length=24)
AUGMENT = Augment(crop=0.8, rotate=5, shift=0.05, flip=0.5, brightness=0.1, gamma=0.2, noise=4)


def picture(seed, size=48):
    """A grey ramp with a bright block on its left side, different for every seed."""
    image = np.tile(np.linspace(0, 80 + seed % 40, size), (size, 1)).astype(np.uint8)
    image[8 : 16 + seed % 24, 4:14] = 220
    return images.encode_png(image)


def study(i, views=2, **fields):
    fields = {
        "findings": f"case number {i} .",
        "impression": "normal",
        "labels": {"mass": "positive"} if i % 2 else {"mass": "negative", "edema": "positive"},
        "qa": (Question("is it large?", "yes", "closed"), Question("what is it?", "a mass", "open")),
    } | fields
    names = ("frontal", "lateral")[:views]
    return Record(
        f"s{i}", images=tuple(picture(i + 7 * k) for k in range(views)), views=names, modality="xray", **fields
    )


@pytest.fixture(scope="module")
def records():
    return [study(i, views=1 + i % 2) for i in range(23)]


@pytest.fixture(scope="module")
def space(records):
    texts = [r.findings + " " + r.impression + " is it large? what is it? yes a mass" for r in records]
    return TokenSpace.create(["mass", "edema"], text.train(texts, size=400))


@pytest.fixture(scope="module")
def entries(records):
    return [
        input.Entry(records, (tasks.build("report"),), 2.0, "first"),
        input.Entry(records[:9], (tasks.build("answer"),), 1.0, "second"),
        input.Entry(records, (tasks.build("findings"),), 1.0, "first"),
    ]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def said(batch, space):
    return [sequences.read_text(row, space) for row in batch["response"]]


def test_a_batch_has_the_shapes_and_types_of_the_contract(entries, space):
    batch = input.train_batches(entries, space, SPEC, batch_size=8, threads=0)(0)
    expected = {
        "image": (np.uint8, (8, 2, 32, 32, 1)), "view_mask": (bool, (8, 2)), "text": (np.int32, (8, 24)),
        "text_mask": (bool, (8, 24)), "prompt": (np.int32, (8, 10)), "prompt_mask": (bool, (8, 10)),
        "response": (np.int32, (8, 24)), "target": (np.int32, (8, 24)), "response_weight": (np.float32, (8, 24)), "segment": (np.int32, (8, SPEC.prompt_length + 24)), "task": (np.int32, (8,)),
        "dataset": (np.int32, (8,)), "index": (np.int64, (8,)), "_mask": (bool, (8,)),
    }  # fmt: skip
    assert {k: (a.dtype, a.shape) for k, a in batch.items()} == {k: (np.dtype(t), s) for k, (t, s) in expected.items()}
    assert batch["view_mask"][:, 0].all()
    assert not batch["image"][~batch["view_mask"]].any()
    assert batch["image"][batch["view_mask"]].reshape(-1, 32 * 32).any(1).all()
    assert np.array_equal(batch["response_weight"] > 0, batch["response"] != v.PAD)
    assert np.array_equal(batch["target"], batch["response"])
    assert batch["_mask"].all()


@pytest.mark.parametrize(("hosts", "threads"), [(1, 1), (2, 2), (4, 3)])
def test_the_global_batch_is_the_same_on_any_number_of_hosts_and_threads(entries, space, hosts, threads):
    options = {"batch_size": 8, "seed": 3, "augment": AUGMENT}
    whole = input.train_batches(entries, space, SPEC, threads=0, **options)
    parts = [
        input.train_batches(entries, space, SPEC, threads=threads, process_index=i, process_count=hosts, **options)
        for i in range(hosts)
    ]
    for step in range(4):
        slices = [part(step) for part in parts]
        joined = {k: np.concatenate([s[k] for s in slices]) for k in slices[0]}
        assert same(joined, whole(step))
    for part in parts:
        part.close()


def test_a_batch_is_a_function_of_its_step(entries, space):
    options = {"batch_size": 6, "seed": 1, "augment": AUGMENT}
    walked = input.train_batches(entries, space, SPEC, threads=2, **options)
    steps = [walked(step) for step in range(5)]
    opened = input.train_batches(entries, space, SPEC, threads=2, **options)
    for step in (4, 1, 2, 0, 3):
        assert same(opened(step), steps[step])
    assert not any(same(a, b) for i, a in enumerate(steps) for b in steps[:i])
    assert not np.array_equal(
        steps[0]["image"], input.train_batches(entries, space, SPEC, batch_size=6, seed=2)(0)["image"]
    )
    assert np.concatenate([s["index"] for s in steps]).tolist() == list(range(30))


def test_a_row_packs_a_report_and_every_finding_of_one_study(records, space):
    both = (tasks.build("report"), tasks.build("findings"))
    spec = dataclasses.replace(SPEC, response_length=60)
    batch = input.train_batches([input.Entry(records, both, None, "a", pack=9)], space, spec, batch_size=8, seed=2)(0)
    for row in range(8):
        ids = np.concatenate([batch["prompt"][row], batch["response"][row]])
        weights = np.concatenate([np.zeros(spec.prompt_length), batch["response_weight"][row]])
        record = next(r for r in records if r.findings == sequences.read_text(batch["response"][row], space))
        values = {}
        for number in range(2, batch["segment"][row].max() + 1):
            here = batch["segment"][row] == number
            *prompt, value, end = ids[here]
            assert prompt[:3] == [v.BOS, space.vocabulary.task("findings"), space.vocabulary.modality(record.modality)]
            assert weights[here].tolist() == [0, 0, 0, 0, 1, 1] and end == v.EOS
            values[space.vocabulary.class_name(prompt[3])] = sequences.read_finding([value, end])
        assert values == record.labels
        assert np.array_equal(batch["segment"][row] > 0, ids != v.PAD)


def test_what_does_not_fit_a_row_is_left_for_another_draw_and_contexts_are_refused(records, space):
    both = (tasks.build("report"), tasks.build("findings"))
    entry = input.Entry(records, both, None, "a", pack=9)
    batch = input.train_batches([entry], space, dataclasses.replace(SPEC, response_length=14), batch_size=8)(0)
    ends = (batch["response"] == v.EOS).sum(1)
    assert np.array_equal(batch["segment"].max(1), np.maximum(ends, 1)) and ends.max() <= 2
    late = input.Entry(records, (tasks.build("report"), tasks.build("summarise")), None, "a")
    with pytest.raises(UserError, match="reads a context cannot be packed"):
        input.train_batches([late], space, SPEC, batch_size=2)(0)


def test_prompts_that_do_not_fit_are_counted(records, space):
    batches = input.train_batches(
        [input.Entry(records, (tasks.build("report"), tasks.build("answer")), None, "a")],
        space,
        dataclasses.replace(SPEC, prompt_length=4),
        batch_size=4,
        threads=0,
    )
    assert batches(0)["segment"].max() == 1 and batches.tally.counts["prompt over 4 tokens left out"] == 4


def test_an_epoch_holds_every_record_once_in_a_new_order(records, space):
    entry = input.Entry(records, (tasks.build("report"),), None, "a")
    batches = input.train_batches([entry], space, SPEC, batch_size=len(records), seed=5)
    epochs = [said(batches(step), space) for step in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == sorted(r.findings for r in records)
    assert epochs[0] != epochs[1] != epochs[2]


def test_every_unit_of_a_record_is_drawn_in_time(records, space):
    entry = input.Entry(records[:1], (tasks.build("answer"),), None, "a")
    batches = input.train_batches([entry], space, SPEC, batch_size=40, seed=5)
    answers = said(batches(0), space)
    assert 8 < answers.count("yes") < 32
    assert answers.count("yes") + answers.count("a mass") == 40


def test_the_mixture_follows_the_weights_and_names_its_parts(entries, space):
    batches = input.train_batches(entries, space, SPEC, batch_size=16)
    got = [batches(step) for step in range(16)]
    task, dataset = (np.concatenate([b[k] for b in got]) for k in ("task", "dataset"))
    assert batches.datasets == ("first", "second")
    for name, share in (("report", 0.5), ("answer", 0.25), ("findings", 0.25)):
        assert np.mean(task == v.TASKS.index(name)) == pytest.approx(share, abs=0.02)
    assert np.array_equal(dataset == 1, task == v.TASKS.index("answer"))


def test_without_weights_the_mixture_follows_the_sizes(records, space):
    parts = [input.Entry(records[:n], (tasks.build("report"),), None, str(n)) for n in (20, 4)]
    got = input.train_batches(parts, space, SPEC, batch_size=96)(0)
    assert np.mean(got["dataset"] == 1) == pytest.approx(4 / 24, abs=0.03)
    even = input.train_batches(parts, space, SPEC, batch_size=96, temperature=float("inf"))(0)
    assert np.mean(even["dataset"] == 1) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(UserError, match="every entry a weight or none"):
        input.train_batches([parts[0], dataclasses.replace(parts[1], weight=1.0)], space, SPEC, batch_size=4)


def test_no_flip_where_a_text_names_a_side(space):
    plain, sided = study(0), study(0, findings="mass in the left lung", views=1)
    for record, flipped in ((plain, True), (sided, False)):
        entry = input.Entry([record], (tasks.build("findings"),), None, "a")
        image = input.train_batches([entry], space, SPEC, batch_size=1, augment=Augment(flip=1.0))(0)["image"][0, 0]
        straight = input.train_batches([entry], space, SPEC, batch_size=1)(0)["image"][0, 0]
        assert np.array_equal(image, straight[:, ::-1] if flipped else straight)


@dataclasses.dataclass(frozen=True)
class Detect(Task):
    """The classes and boxes of a record, boxes in hundredths of the side, masks by their number of pixels."""

    name = "detect"
    needs = ("images", "boxes", "masks")
    shows = ("images",)

    def sequence(self, record, unit, space, rng=None):
        numbers = [int(c) for c in record.box_classes] + np.round(record.boxes * 100).astype(int).ravel().tolist()
        pixels = [int(np.count_nonzero(images.decode(m, channels=1))) for m in record.masks]
        return sequences.Sequence([], [v.BOS], [*numbers, *pixels, *(int(c) for c in record.mask_classes)])


def with_objects(boxes):
    mask = np.zeros((48, 48), np.uint8)
    mask[12:24, 0:12] = 255
    return study(
        0, boxes=np.array(boxes, np.float32), box_classes=tuple(str(20 + i) for i in range(len(boxes))),
        masks=(images.encode_png(mask),), mask_classes=("30",),
    )  # fmt: skip


def test_boxes_and_masks_reach_the_task_as_the_image_shows_them(space):
    entry = input.Entry([with_objects([[0.25, 0.0, 0.5, 0.25]])], (Detect(),), None, "a")
    plain = input.train_batches([entry], space, SPEC, batch_size=1)(0)["response"][0]
    assert plain[:7].tolist() == [20, 25, 0, 50, 25, 8 * 8, 30]
    mirrored = input.train_batches([entry], space, SPEC, batch_size=1, augment=Augment(flip=1.0))(0)["response"][0]
    assert mirrored[:7].tolist() == [20, 25, 75, 50, 100, 8 * 8, 30]


def test_a_record_whose_objects_all_leave_the_picture_is_shown_unaugmented(space):
    entry = input.Entry([with_objects([[0.0, 0.0, 0.03, 0.03]])], (Detect(),), None, "a")
    batches = input.train_batches([entry], space, SPEC, batch_size=16, augment=Augment(crop=0.3))
    response = batches(0)["response"]
    assert np.all(response[:, 0] == 20)
    straight = input.train_batches([entry], space, SPEC, batch_size=1)(0)["response"][0]
    assert sum(np.array_equal(row, straight) for row in response) > 8


def test_truncation_is_counted_and_leaves_no_end(records, space):
    short = dataclasses.replace(SPEC, text_length=3, response_length=4)
    entry = input.Entry(records, (tasks.build("summarise"),), None, "a")
    batches = input.train_batches([entry], space, short, batch_size=23)
    batch = batches(0)
    contexts = [len(space.encode_text(r.findings)) for r in records]
    responses = [len(space.encode_text(r.impression)) + 1 for r in records]
    assert batches.tally.counts["context cut at 3 tokens"] == sum(n > 3 for n in contexts) == 23
    assert batches.tally.counts["response cut at 4 tokens"] == sum(n > 4 for n in responses)
    long = input.Entry(records, (tasks.build("report"),), None, "a")
    batches = input.train_batches([long], space, short, batch_size=23)
    batch = batches(0)
    assert batches.tally.counts["response cut at 4 tokens"] == 23
    assert not np.any(batch["response"] == v.EOS)
    assert np.all(batch["response_weight"] == 1)


def test_a_prompt_is_never_cut():
    spec = dataclasses.replace(SPEC, prompt_length=2)
    blank = np.zeros(SPEC.image_shape, np.uint8)
    example = Example(blank, np.zeros(2, bool), (sequences.Sequence([], [1, 2, 3], [2]),), 0, 0, 0)
    with pytest.raises(UserError, match="prompt_length to at least that"):
        collate([example], spec)


def test_evaluation_covers_every_unit_once(records, space):
    task = tasks.build("answer")
    every = input.units(records, task)
    assert every == [(i, unit) for i in range(len(records)) for unit in (0, 1)]
    batches = list(input.eval_batches(records, task, space, SPEC, 8))
    assert {len(b["index"]) for b in batches} == {8}
    index, mask = (np.concatenate([b[k] for b in batches]) for k in ("index", "_mask"))
    assert index[mask].tolist() == list(range(len(every)))
    assert mask.sum() == 46
    assert np.array_equal(mask, np.arange(48) < 46)
    answers = [a for b in batches for a in said(b, space)]
    for position in range(len(every)):
        record, unit = every[position]
        assert answers[position] == records[record].qa[unit].answer


@pytest.mark.parametrize("hosts", [2, 4])
def test_evaluation_slices_join_to_the_same_batches(records, space, hosts):
    task = tasks.build("findings")
    whole = list(input.eval_batches(records[:7], task, space, SPEC, 8, threads=0))
    parts = [
        list(input.eval_batches(records[:7], task, space, SPEC, 8, process_index=i, process_count=hosts))
        for i in range(hosts)
    ]
    assert {len(part) for part in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        assert same({k: np.concatenate([p[step][k] for p in parts]) for k in batch}, batch)


def test_a_limited_evaluation_is_spread_over_the_set(records, space):
    batches = list(input.eval_batches(records, tasks.build("report"), space, SPEC, 4, limit=5))
    index = np.concatenate([b["index"][b["_mask"]] for b in batches])
    assert len(index) == 5
    assert index[0] == 0
    assert index[-1] == len(records) - 1


def test_a_corrupt_image_is_set_aside_counted_and_replaced_by_the_next(records, space, caplog):
    broken = list(records)
    broken[4] = dataclasses.replace(records[4], images=(records[4].images[0][:60],), views=("frontal",))
    entry = input.Entry(broken, (tasks.build("report"),), None, "a")
    with caplog.at_level(logging.WARNING):
        runs = [input.train_batches([entry], space, SPEC, batch_size=23, threads=n) for n in (0, 2)]
        first, second = (run(0) for run in runs)
    assert same(first, second)
    expected = [r.findings for r in records if r.study_id != "s4"] + [records[5].findings]
    assert sorted(said(first, space)) == sorted(expected)
    assert runs[0].tally.counts["record set aside"] == 1
    assert "cut off" in runs[0].tally.set_aside["a/s4"]
    assert "a/s4" in caplog.text


def test_a_corrupt_image_is_masked_in_evaluation(records, space):
    broken = [*records[:2], dataclasses.replace(records[2], images=(b"\xff\xd8\xff no jpeg",), views=("frontal",))]
    tally = Tally()
    batches = list(input.eval_batches(broken, tasks.build("report"), space, SPEC, 2, name="a", tally=tally))
    assert [b["_mask"].tolist() for b in batches] == [[True, True], [False, False]]
    assert list(tally.set_aside) == ["a/s2"]


def test_training_stops_where_nothing_can_be_read(space):
    broken = [dataclasses.replace(study(i), images=(b"\x89PNG\r\n\x1a\n",) * 2) for i in range(3)]
    batches = input.train_batches([input.Entry(broken, (tasks.build("report"),), None, "a")], space, SPEC, batch_size=2)
    with pytest.raises(UserError, match=r"data set a: 3 records in a row cannot be read; last: .*cut off"):
        batches(0)


def test_an_entry_that_no_record_serves_is_refused(records, space):
    bare = [dataclasses.replace(r, qa=()) for r in records[:3]]
    with pytest.raises(UserError, match="data set a cannot serve task answer: field qa is empty in all 3 records"):
        input.train_batches([input.Entry(bare, (tasks.build("answer"),), None, "a")], space, SPEC, batch_size=2)
    narrow = tasks.build({"name": "findings", "classes": ["fracture"]})
    with pytest.raises(UserError, match="task findings: it finds nothing to ask in any of 23 records"):
        next(input.eval_batches(records, narrow, space, SPEC, 2, name="a"))
    with pytest.raises(UserError, match="does not divide over 3 hosts"):
        input.train_batches(
            [input.Entry(records, (tasks.build("report"),), None, "a")], space, SPEC, batch_size=4, process_count=3
        )


def test_records_that_cannot_serve_are_not_offered(records, space):
    some = [dataclasses.replace(r, findings="") if i % 3 else r for i, r in enumerate(records)]
    entry = input.Entry(some, (tasks.build("report"),), None, "a")
    got = said(input.train_batches([entry], space, SPEC, batch_size=8)(0), space)
    assert sorted(got) == sorted(r.findings for r in some if r.findings)


class Prepared(list):
    """Records that lie in a folder, counting how often one is read."""

    folder, split, reads = None, "train", 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def test_the_scan_of_a_prepared_set_is_kept_beside_it(records, tmp_path):
    source = Prepared(records)
    source.folder = tmp_path
    task = tasks.build("findings")
    first = input.units(source, task)
    reads = source.reads
    assert input.units(source, task) == first == input.units(records, task)
    assert source.reads == reads
    input.units(source, tasks.build({"name": "findings", "classes": ["edema"]}))
    source.split = "test"
    input.units(source, task)
    assert source.reads == 3 * reads
    assert len(list(tmp_path.glob("units/*.json"))) == 3
    (tmp_path / "shard").write_bytes(b"prepared again")
    input.units(source, task)
    assert source.reads == 4 * reads


def test_a_folder_that_cannot_be_written_is_scanned_again(records, tmp_path):
    (tmp_path / "units").write_text("a file in the way")
    source = Prepared(records)
    source.folder = tmp_path
    assert input.units(source, tasks.build("report")) == [(i, None) for i in range(len(records))]
