"""The token space: the layout never moves, and every sequence has an exact inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimedvlp.errors import UserError
from unimedvlp.records import LABEL_VALUES, MODALITIES
from unimedvlp.tokens import sequences, text, vocabulary
from unimedvlp.tokens.space import TokenSpace

TEXTS = ["the heart is normal in size", "there is a nodule in the left lung", "no pleural effusion 12 mm"] * 4
CLASSES = ("nodule", "pleural effusion", "cardiomegaly")
SPACE = TokenSpace.create(CLASSES, text.train(TEXTS, size=400))
words = st.text(st.characters(blacklist_categories=("Cs", "Cc"))).map(text.squeeze)


def test_layout_is_final():
    assert [vocabulary.PAD, vocabulary.BOS, vocabulary.EOS, vocabulary.SEP, vocabulary.POS] == [0, 1, 2, 3, 6]
    v = SPACE.vocabulary
    assert (v.task("classify"), v.task("report"), v.modality("xray"), v.class_id("nodule")) == (16, 22, 65, 128)
    starts = (vocabulary.TASK_START, vocabulary.MODALITY_START, vocabulary.CLASS_START, vocabulary.COORDINATE_START)
    assert starts == (16, 64, 128, 1024)
    assert (vocabulary.IMAGE_CODE_START, vocabulary.MASK_CODE_START, vocabulary.TEXT_START) == (2048, 3072, 4096)
    assert vocabulary.TASK_START + len(vocabulary.TASKS) <= vocabulary.MODALITY_START
    assert vocabulary.MODALITY_START + len(MODALITIES) <= vocabulary.CLASS_START
    assert v.size % 128 == 0 and v.size >= 4096 + SPACE.tokenizer.size


@given(words)
def test_any_text_survives(value):
    ids = SPACE.encode_text(value)
    assert all(vocabulary.TEXT_START <= i < SPACE.vocabulary.size for i in ids)
    assert SPACE.decode_text(ids) == value


@given(st.sampled_from(MODALITIES), st.sampled_from(CLASSES), st.sampled_from(LABEL_VALUES), words, words)
def test_sequences_invert(modality, name, value, first, second):
    single = sequences.classification(SPACE, modality, name)
    assert sequences.read_classification(single.response, SPACE) == name
    finding = sequences.finding(SPACE, modality, name, value)
    assert sequences.read_finding(finding.response) == value
    assert SPACE.vocabulary.class_name(finding.prompt[-1]) == name
    report = sequences.report(SPACE, modality, first)
    assert sequences.read_text(report.response, SPACE) == first
    for build in (sequences.summary, sequences.answer):
        sequence = build(SPACE, modality, first, second)
        asked = sequence.context if build is sequences.summary else sequence.prompt
        assert sequences.read_question(asked, SPACE) == first
        assert sequences.read_text(sequence.response, SPACE) == second
        assert sequence.prompt[:1] == [vocabulary.BOS] and sequence.response[-1] == vocabulary.EOS
        assert sequence.prompt[2] == SPACE.vocabulary.modality(modality)


@given(st.lists(st.integers(0, SPACE.vocabulary.size - 1), max_size=6))
def test_malformed_responses_are_none_never_a_crash(ids):
    inside = ids[: ids.index(vocabulary.EOS)] if vocabulary.EOS in ids else None
    well_formed = inside is not None and len(inside) == 1
    assert (sequences.read_finding(ids) is not None) == (well_formed and inside[0] in (4 + 1, 6, 7))
    assert (sequences.read_classification(ids, SPACE) is not None) == (well_formed and inside[0] in (128, 129, 130))
    body = sequences.until_end(ids, cut=True)
    assert (sequences.read_text(ids, SPACE) is None) == any(i < vocabulary.TEXT_START for i in body)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UserError, match="unknown class 'nodul'; nearest: nodule"):
        SPACE.vocabulary.class_id("nodul")
    with pytest.raises(UserError, match="unknown modality 'xry'; nearest: xray"):
        SPACE.vocabulary.modality("xry")
    with pytest.raises(UserError, match="occurs twice"):
        TokenSpace.create(("a", "a"), SPACE.tokenizer)


def test_saved_space_is_the_same(tmp_path):
    SPACE.save(tmp_path)
    back = TokenSpace.load(tmp_path)
    assert back.vocabulary == SPACE.vocabulary
    assert back.encode_text("a nodule of 12 mm") == SPACE.encode_text("a nodule of 12 mm")


def test_any_hugging_face_folder_serves(tmp_path):
    from transformers import PreTrainedTokenizerFast

    SPACE.save(tmp_path / "ours")
    fast = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "ours" / text.FILE))
    fast.save_pretrained(tmp_path / "theirs")
    ids = text.load(tmp_path / "theirs").encode("the left lung")
    assert (
        ids == fast("the left lung", add_special_tokens=False)["input_ids"] == SPACE.tokenizer.encode("the left lung")
    )


def test_broken_tokenizer_is_named(tmp_path):
    (tmp_path / text.FILE).write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json is not a Hugging Face tokenizer"):
        text.load(tmp_path)
    with pytest.raises(UserError, match="no tokenizer at"):
        text.load(tmp_path / "nowhere")


def test_every_id_has_a_name():
    names = {vocabulary.describe(i, SPACE.vocabulary) for i in range(SPACE.vocabulary.size)}
    assert {"EOS", "report", "xray", "nodule", "coordinate 999", "image code 1023", "mask code 511", "text 0"} <= names
    assert len(names) == SPACE.vocabulary.size
