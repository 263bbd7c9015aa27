"""Which ids begin a word, for each kind of tokenizer."""

import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from unimedvlp.objectives.masked import word_index
from unimedvlp.tokens import text
from unimedvlp.tokens.space import TokenSpace
from unimedvlp.tokens.vocabulary import EOS, TEXT_START

SENTENCE = "cardiomegaly, no effusion. 12 mm"
WORDS = ["cardiomegaly", ",", "no", "effusion", ".", "12", "mm"]


def words_of(space, sentence):
    """The words that `word_index` makes of a sentence."""
    ids = [*space.encode_text(sentence), EOS]
    eligible = jnp.array([[i >= TEXT_START for i in ids]])
    index = np.asarray(word_index(jnp.array([ids]), eligible, jnp.asarray(space.word_starts())))[0]
    assert index[-1] == -1
    return [space.decode_text([i for i, at in zip(ids, index, strict=True) if at == n]) for n in range(index.max() + 1)]


def test_byte_level():
    space = TokenSpace.create((), text.train(["cardio no effusion mm"] * 3, size=270))
    assert len(space.encode_text("cardiomegaly")) > 1
    assert words_of(space, SENTENCE) == WORDS


def test_word_piece():
    pieces = ["[UNK]", "cardio", "##mega", "##ly", ",", "no", "effusion", ".", "12", "mm"]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    assert words_of(TokenSpace.create((), text.TextTokenizer(tokenizer)), SENTENCE) == WORDS


def test_sentence_piece():
    pieces = [("<unk>", 0.0)] + [(p, -1.0) for p in ("▁cardio", "megaly", ",", "▁no", "▁effusion", ".", "▁12", "▁mm")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    assert words_of(TokenSpace.create((), text.TextTokenizer(tokenizer)), SENTENCE) == WORDS


def test_an_id_that_is_not_text_is_a_word_of_its_own():
    space = TokenSpace.create(("edema",), text.train(["a"], size=257))
    starts = space.word_starts()
    assert starts.shape == (space.vocabulary.size,) and starts[:TEXT_START].all()
