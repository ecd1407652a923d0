"""Texts, and the layouts of tokenised files in which tests write their ids."""

import struct
from itertools import chain
from pathlib import Path

import numpy as np

from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source

TEXTS = [
    "the quick brown fox jumps over the lazy dog, again and again",
    "naïve façade — 深層学習 🧪 and the end <|endoftext|> of text\n",
    *(f"number {i} of the documents has {i * i} in it, and {i**3} too" for i in range(30)),
]
END = 0
"""Id of the end of text."""


def read(pattern: Path, folder: Path, on_bad_input: str = "stop", **source: object) -> list[str]:
    described = Source(token_files=str(pattern), tokenizer=str(folder), **source)  # type: ignore[arg-type]
    return list(read_source(described, InputErrors(on_bad_input)))


def write_megatron(path: Path, documents: list[list[int]], code: int = 8) -> Path:
    """Write documents of one sequence each in Megatron's layout; `code` is that of the type."""
    kind = np.dtype({3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}[code])
    lengths = np.array([len(document) for document in documents])
    np.array(list(chain.from_iterable(documents)), kind).tofile(path)
    starts = kind.itemsize * (np.cumsum(lengths) - lengths)
    arrays = [lengths.astype("<i4"), starts.astype("<i8")]
    arrays.append(np.arange(len(documents) + 1, dtype="<i8"))
    header = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, code, len(documents), len(documents) + 1)
    index = header + b"".join(array.tobytes() for array in arrays)
    path.with_suffix(".idx").write_bytes(index)
    return path


def flat(documents: list[list[int]], kind: str = "<u2", *, before: bool = False) -> np.ndarray:
    """All ids, with an end of text before or after each document."""
    parts = [[END, *ids] if before else [*ids, END] for ids in documents]
    return np.array(list(chain.from_iterable(parts)), kind)
