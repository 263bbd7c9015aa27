"""The token space of one model: its vocabulary and its tokenizer, saved together beside the weights."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unimedvlp.errors import UserError
from unimedvlp.tokens import text as text_module
from unimedvlp.tokens.vocabulary import PAD, TEXT_START, Vocabulary

FILE = "classes.json"


@dataclasses.dataclass(frozen=True)
class TokenSpace:
    """Ids of everything a model reads and writes. Text ids lie in one range at the end of the vocabulary."""

    vocabulary: Vocabulary
    tokenizer: text_module.TextTokenizer

    @classmethod
    def create(cls, classes: Iterable[str], tokenizer: text_module.TextTokenizer) -> "TokenSpace":
        """A space over class names (in registry order) and a tokenizer."""
        return cls(Vocabulary(tuple(classes), tokenizer.size), tokenizer)

    def encode_text(self, text: str) -> list[int]:
        """Vocabulary ids of a text; white space is squeezed first."""
        return [TEXT_START + i for i in self.tokenizer.encode(text_module.squeeze(text))]

    def decode_text(self, ids: Iterable[int]) -> str:
        """The text of vocabulary ids; ids outside the text range are passed over."""
        end = TEXT_START + self.tokenizer.size
        return self.tokenizer.decode(int(i) - TEXT_START for i in ids if TEXT_START <= i < end)

    def encode_names(self, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Text ids int32 `[C, L]` of C names, and which are real, bool `[C, L]`; L is that of the longest."""
        rows = [self.encode_text(name) for name in names]
        length = max(map(len, rows))
        ids = np.array([row + [PAD] * (length - len(row)) for row in rows], np.int32)
        return ids, np.arange(length) < np.array([[len(row)] for row in rows])

    def word_starts(self) -> np.ndarray:
        """bool `[V]`: the ids with which a word begins, for whole-word masking; an id that is not text is a word by itself."""
        starts = np.ones(self.vocabulary.size, bool)
        starts[TEXT_START : TEXT_START + self.tokenizer.size] = self.tokenizer.word_starts()
        return starts

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `classes.json`."""
        self.tokenizer.save(folder)
        (Path(folder) / FILE).write_text(json.dumps(list(self.vocabulary.classes), indent=1))

    @classmethod
    def load(cls, folder: str | Path) -> "TokenSpace":
        """Read what `save` wrote."""
        path = Path(folder) / FILE
        if not path.is_file():
            raise UserError(f"no {FILE} in {folder}; is it a folder that `unimedvlp train` wrote?")
        return cls.create(json.loads(path.read_text()), text_module.load(folder))
