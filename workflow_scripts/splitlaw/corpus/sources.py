"""The documents of a configured source, whatever its kind, in batches."""

from collections.abc import Iterator

from splitlaw.corpus.config import Source
from splitlaw.corpus.packages import read_package
from splitlaw.corpus.trouble import Trouble

BATCH_CHARACTERS = 2_000_000
_BATCH_DOCUMENTS = 4096


def documents(source: Source, trouble: Trouble) -> Iterator[str]:
    """The raw texts of a source up to its caps; what cannot be read goes to `trouble`."""
    count = size = 0
    for where, text in _located(source, trouble):
        if "\0" in text:
            trouble.report(where, "NUL bytes in the text; it may be binary or UTF-16")
            continue
        yield text
        count += 1
        size += len(text.encode("utf-8", "surrogatepass")) if source.max_bytes else 0
        if count == source.max_documents or size >= (source.max_bytes or size + 1):
            return


def _located(source: Source, trouble: Trouble) -> Iterator[tuple[str, str]]:
    if source.package:
        for number, text in enumerate(read_package(source.package), start=1):
            yield f"package {source.package}: document {number}", text


def batches(texts: Iterator[str]) -> Iterator[list[str]]:
    """Documents in lists of about `BATCH_CHARACTERS` characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS or len(batch) == _BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
