"""The number of tokens of a `tokenizer.json`, read without the library of tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "spiece.model",
)
"""Files of which a folder with a tokenizer has at least one."""


def count_tokens(file: Path) -> int:
    """Number of tokens of a `tokenizer.json`: its largest id, and one.

    Raises `ValueError` for a file that is no such tokenizer.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        last = max(vocabulary.values()) if isinstance(vocabulary, dict) else len(vocabulary) - 1
        return 1 + max([last, *(token["id"] for token in content.get("added_tokens", []))])
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ValueError(
            f"{file.name} cannot be read as a tokenizer ({type(cause).__name__}: {cause})"
        ) from None
