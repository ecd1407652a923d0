"""Encoding of text with a saved tokenizer; each encoding process imports only this module."""

import os
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json

Encoded = tuple[NDArray[Any], NDArray[np.int64]]
"""Tokens, `[tokens]`, and the tokens and UTF-8 bytes of each document, `int64 [documents, 2]`."""


class Encoder:
    """Encodes documents, each after an end-of-text token; each process opens the tokenizer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokenizer, self.end_of_text = load_tokenizer(folder)
        # Ids may have gaps, so that the number of tokens is not the number of rows of a model.
        self.vocabulary = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self.dtype: np.dtype[Any] = np.dtype("<u2" if self.vocabulary <= 1 << 16 else "<u4")
        # The work is divided among processes; threads in each would compete for the same cores.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"

    def __reduce__(self) -> tuple[type["Encoder"], tuple[Path]]:
        return Encoder, (self._folder,)

    def encode(self, texts: list[str]) -> Encoded:
        """Return the tokens of all texts, concatenated, and the sizes of each text."""
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ids = [encoding.ids for encoding in encoded]
        table = np.array(
            [(len(i) + 1, len(text.encode("utf-8"))) for i, text in zip(ids, texts, strict=True)],
            dtype=np.int64,
        ).reshape(-1, 2)
        flat = chain.from_iterable([self.end_of_text, *document] for document in ids)
        return np.fromiter(flat, self.dtype, int(table[:, 0].sum())), table

    def __call__(self, batch: tuple[list[str], list[str]]) -> tuple[list[str], Encoded]:
        """Encode a batch of sources and texts, and return the sources with the result."""
        sources, texts = batch
        return sources, self.encode(texts)


def load_tokenizer(folder: Path) -> tuple[Tokenizer, int]:
    """Open a saved tokenizer for encoding; returns it with the id of its end-of-text token.

    Special tokens that occur in a text are encoded as ordinary text.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; run train_tokenizer first")
    tokenizer = Tokenizer.from_file(os.fspath(path))
    token = read_json(folder / "tokenizer_config.json").get("eos_token")
    token = token["content"] if isinstance(token, dict) else token
    end_of_text = tokenizer.token_to_id(token) if token else None
    if end_of_text is None:
        raise UserError(
            f"{folder}/tokenizer_config.json: eos_token {token!r} is not in the vocabulary; fix it"
        )
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, end_of_text
