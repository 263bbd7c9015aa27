"""Text to ids and back: a fast Hugging Face tokenizer, trained on the training split or read from a folder."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from unimedvlp.errors import UserError

FILE = "tokenizer.json"
_SPACES = ("Ġ", "▁")  # a space before a word, in byte-level and in SentencePiece tokens


class TextTokenizer:
    """Ids of text in 0..size-1 (the vocabulary adds its offset). Lossless up to the normalisation it was trained with."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer

    @property
    def size(self) -> int:
        """Number of text ids."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without any special tokens."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True).strip()

    def word_starts(self) -> np.ndarray:
        """bool `[size]`: the ids with which a word begins, as the kind of tokenizer marks them; punctuation is a word."""
        tokens = [self._tokenizer.id_to_token(i) or "" for i in range(self.size)]
        if isinstance(self._tokenizer.model, models.WordPiece):
            prefix = self._tokenizer.model.continuing_subword_prefix
            return np.array([not token.startswith(prefix) for token in tokens])
        return np.array([token[:1] in _SPACES or not token[:1].isalnum() for token in tokens])

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` into a folder, as Hugging Face reads it."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(Path(folder) / FILE))


def train(texts: Iterable[str], *, size: int = 4000, lowercase: bool = False) -> TextTokenizer:
    """Train byte-level BPE on texts of the training split; every text can be written with it.

    Digits are split one by one, so that sizes and levels share their tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    space = normalizers.Prepend(" ")  # the first word gets the same token as the same word elsewhere
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), space]) if lowercase else space
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=3,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((" ".join(text.split()) for text in texts), trainer)
    return TextTokenizer(tokenizer)


def load(folder: str | Path) -> TextTokenizer:
    """Read `tokenizer.json` of a checkpoint or of any Hugging Face tokenizer folder."""
    path = Path(folder) / FILE if Path(folder).is_dir() else Path(folder)
    if not path.is_file():
        raise UserError(f"no tokenizer at {path}; expected a Hugging Face folder with {FILE}")
    try:
        return TextTokenizer(Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises bare Exception for any malformed file
        raise UserError(f"{path} is not a Hugging Face tokenizer file: {error}") from error


def squeeze(text: str) -> str:
    """Text with runs of white space made one space; the form in which texts become tokens."""
    return re.sub(r"\s+", " ", text).strip()
