"""A description of the files of a domain: sizes, encodings, near-empty files, languages."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.encodings import AUTO, UTF_8, detect_encoding
from splitlaw.corpus.sources.files import UNREADABLE, open_decompressed, read_file
from splitlaw.corpus.sources.formats import BINARY, file_format
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.experiment.corpus_settings import Cleaning
from splitlaw.stages.text_folder import TEXT_SUFFIXES

SAMPLED_FILES = 100
"""Files of a domain of which texts are read; their languages are known to some 5%."""
SAMPLED_TEXTS = 20
"""Texts that are read of one file with several."""
SCANNED_BYTES = 1 << 30
"""Bytes of a domain whose encoding is detected: about ten seconds."""
FILE_BYTES = 4 << 20
"""The same of one file."""
WORDS = {
    "English": "the of and to in is that for with this",
    "German": "der die und das ist nicht ein zu den mit",
    "French": "le la les et des est une dans que pour",
    "Spanish": "el los las que una por con para del es",
    "Portuguese": "o os que uma para com não do da em",
    "Italian": "il che di della per una con sono gli nel",
    "Dutch": "de het een van en dat niet met voor zijn",
    "Polish": "nie się na jest że do przez oraz jak dla",
    "Swedish": "och att det som en på är av för inte",
    "Turkish": "bir ve bu için ile olarak daha çok olan gibi",
    "Russian": "и в не на что с по как это для",
    "Ukrainian": "і в не на що з до як це та",
}
"""Frequent words of languages, apart from most words of the others."""
SCRIPTS = {
    "Japanese": "\u3040-\u30ff",
    "Korean": "\uac00-\ud7af",
    "Chinese": "\u4e00-\u9fff",
    "Arabic": "\u0600-\u06ff",
    "Hebrew": "\u0590-\u05ff",
    "Greek": "\u0370-\u03ff",
    "Hindi": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
}
"""Letters that only one language of this list uses; Japanese uses Chinese letters as well."""
LANGUAGE_CHARACTERS = 20_000
"""Characters of a text that its language is determined from."""
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class TextSample:
    """The findings on the files of one domain."""

    sizes: Sequence[int]
    """Bytes of every file."""
    encodings: Counter[str] = field(default_factory=Counter)
    """Files by encoding, except files of binary formats."""
    recoded: set[str] = field(default_factory=set)
    """Formats with a file that is not UTF-8."""
    texts: int = 0
    """Number of sampled texts."""
    short: int = 0
    """Files of one text with fewer bytes than `Cleaning.min_characters`, and sampled texts of other
    files with fewer characters."""
    languages: Counter[str] = field(default_factory=Counter)
    """Sampled texts by language."""
    problems: Sequence[str] = ()
    """Why files cannot be read, among those that were sampled or whose encoding was detected."""

    def describe(self) -> Iterator[str]:
        """Lines for the terminal."""
        sizes = sorted(self.sizes)
        middle = sizes[len(sizes) // 2]
        yield f"sizes: {_size(sizes[0])} to {_size(sizes[-1])}, median {_size(middle)}"
        if set(self.encodings) - {UTF_8}:
            counts = ", ".join(f"{name} {n:,}" for name, n in self.encodings.most_common())
            yield f"encodings: {counts}; read with encoding: auto, check the letters"
        if self.short:
            fewest = Cleaning().min_characters
            yield f"near-empty: {self.short} texts of fewer than {fewest} characters are dropped"
        if self.texts:
            shares = [f"{name} {n / self.texts:.0%}" for name, n in self.languages.most_common(4)]
            yield f"languages of {self.texts} sampled texts: {', '.join(shares)}"
        if self.problems:
            yield f"cannot be read: {len(self.problems)} files, such as {self.problems[0]}"


def sample_text(files: Sequence[Path]) -> TextSample:
    """Examine the files of a domain: the sizes of all, the encodings of most, a sample of texts."""
    problems: dict[Path, str] = {}
    encodings, recoded = _encodings(files, problems)
    texts: list[str] = []
    fewest = Cleaning().min_characters
    plain = [path for path in files if path.suffix.lower() in TEXT_SUFFIXES]
    short = sum(path.stat().st_size < fewest for path in plain)
    for path in files[:: max(1, len(files) // SAMPLED_FILES)]:
        try:
            read = read_file(path, "text", InputErrors("stop"), encoding=AUTO)
            found = [text for _, text in islice(read, SAMPLED_TEXTS)]
        except UserError as cause:
            problems.setdefault(path, str(cause))
            continue
        texts += found
        short += sum(len(text.strip()) < fewest for text in found) if path not in plain else 0
    return TextSample(
        sizes=[path.stat().st_size for path in files],
        encodings=encodings,
        recoded=recoded,
        texts=len(texts),
        short=short,
        languages=Counter(map(language_of, texts)),
        problems=list(problems.values()),
    )


def _encodings(files: Sequence[Path], problems: dict[Path, str]) -> tuple[Counter[str], set[str]]:
    """The encodings of the files, and the formats with a file that is not UTF-8.

    Files of which no encoding fits are added to `problems`.
    """
    found: Counter[str] = Counter()
    recoded = set()
    scanned = 0
    for path in files:
        if file_format(path) in BINARY or scanned > SCANNED_BYTES:
            continue
        try:
            with open_decompressed(path) as stream:
                data = stream.read(FILE_BYTES)
        except UNREADABLE:
            continue  # reading its texts reports the reason
        scanned += len(data)
        if len(data) == FILE_BYTES:
            data = data[: data.rfind(b"\n") + 1] or data
        encoding = detect_encoding(io.BytesIO(data))
        if encoding is None:
            problems[path] = f"{path}: no encoding fits (it may be damaged UTF-8, or binary)"
            continue
        found[encoding] += 1
        if encoding != UTF_8:
            recoded.add(file_format(path))
    return found, recoded


def language_of(text: str) -> str:
    """The most likely language of a text, from its letters and its frequent words."""
    text = text[:LANGUAGE_CHARACTERS].lower()
    letters = sum(letter.isalpha() for letter in text)
    for name, block in SCRIPTS.items():
        if len(re.findall(f"[{block}]", text)) > letters * (0.1 if name == "Japanese" else 0.5):
            return name
    words = Counter(re.findall(r"[^\W\d_]+", text))
    hits = {name: sum(words[word] for word in known.split()) for name, known in WORDS.items()}
    best = max(hits, key=lambda name: hits[name])
    # A tenth of the words of prose are among the ten most frequent ones; lists and code have fewer.
    return best if hits[best] >= max(1, 0.02 * words.total()) else UNKNOWN


def _size(size: int) -> str:
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
