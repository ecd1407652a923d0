"""Text of invented words, which is the same in every run."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from token_writers import TEXTS
from tokenizers import Tokenizer

from splitlaw.tokens.tokenizer import save_tokenizer, train_bpe

Write = Callable[[str, list[str]], Path]


class Writer:
    """Writes documents of invented words, drawn with the frequencies of Zipf's law."""

    def __init__(self, seed: int, vocabulary: int = 5000) -> None:
        self.random = np.random.default_rng(seed)
        letters = np.array(list("etaoinshrdlu"))
        self.words = np.array(
            ["".join(self.random.choice(letters, 2 + i % 7)) + str(i) for i in range(vocabulary)]
        )
        self.chance = 1 / np.arange(10, vocabulary + 10)
        self.chance /= self.chance.sum()

    def document(self, words: int = 200) -> str:
        return " ".join(self.random.choice(self.words, words, p=self.chance))

    def documents(self, count: int, words: int = 200) -> list[str]:
        return [self.document(words) for _ in range(count)]

    def altered(self, text: str, share: float) -> str:
        """Return `text` with this share of its words replaced."""
        words = np.array(text.split(), dtype=object)
        places = self.random.choice(words.size, round(share * words.size), replace=False)
        words[places] = self.random.choice(self.words, places.size)
        return " ".join(words)


@pytest.fixture
def writer() -> Writer:
    return Writer(0)


@pytest.fixture
def write_lines(tmp_path: Path) -> Write:
    """Write documents as JSON lines."""

    def write(name: str, texts: list[str]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return path

    return write


@pytest.fixture(scope="session")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tokenizer of 400 ids, which encodes any text."""
    out = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(iter(TEXTS), 400), out)
    return out


@pytest.fixture(scope="session")
def ids(bpe: Path) -> list[list[int]]:
    """The ids of every text, in which the name of the end of text is ordinary text."""
    tokenizer = Tokenizer.from_file(str(bpe / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return [encoding.ids for encoding in tokenizer.encode_batch(TEXTS, add_special_tokens=False)]
