"""Raw documents of a configured source of any kind, one at a time or in batches."""

from collections.abc import Iterator
from itertools import islice

from splitlaw.corpus.shards import WHOLE, Shard
from splitlaw.corpus.sources.availability import matching_paths, token_paths
from splitlaw.corpus.sources.encodings import UTF_8
from splitlaw.corpus.sources.files import read_files
from splitlaw.corpus.sources.hub import count_files, read_dataset
from splitlaw.corpus.sources.input_errors import EMPTY_TEXT, InputErrors
from splitlaw.corpus.sources.located import DOCUMENT_TOO_LARGE, MAX_DOCUMENT_BYTES, Located
from splitlaw.corpus.sources.packages import read_package
from splitlaw.corpus.sources.token_files import read_token_files
from splitlaw.experiment.source_settings import Source

BATCH_CHARACTERS = 2_000_000
"""Large enough that sending a batch to a process costs little, small enough for memory: two
batches per process are held at a time."""
_BATCH_DOCUMENTS = 4096
"""Bounds the arrays of a batch of very short documents: a signature takes 512 bytes."""


def read_source(source: Source, errors: InputErrors, shard: Shard = WHOLE) -> Iterator[str]:
    """Yield the raw texts of a source up to its limits; unreadable documents go to `errors`.

    A shard reads some of the files. Where there are fewer files than shards, and where the source
    has a limit, it reads all of them and yields some of the documents.
    """
    if shard.count == 1 or _is_divided_by_file(source, shard):
        yield from _read_up_to_limits(source, errors, shard)
    else:
        counted = errors.ignored() if shard.number else errors
        yield from islice(
            _read_up_to_limits(source, counted, WHOLE), shard.number, None, shard.count
        )


def _is_divided_by_file(source: Source, shard: Shard) -> bool:
    if source.max_documents or source.max_bytes:
        return False
    if source.token_files:
        return len(token_paths(source.token_files)) >= shard.count
    if source.files:
        return len(matching_paths(source.files)) >= shard.count
    return source.dataset is not None and count_files(source) >= shard.count


def _read_up_to_limits(source: Source, errors: InputErrors, shard: Shard) -> Iterator[str]:
    count = size = 0
    errors.advises_encoding = source.encoding == UTF_8
    for location, text in _located(source, errors, shard):
        if len(text) > MAX_DOCUMENT_BYTES:
            errors.report(location, DOCUMENT_TOO_LARGE)
            continue
        if "\0" in text:
            reason = "NUL bytes in the text; it may be binary or UTF-16"
            errors.report(location, reason, size=len(text.encode("utf-8", "surrogatepass")))
            continue
        if not source.package and not text.strip():
            errors.note(location, EMPTY_TEXT, once=True)
        yield text
        count += 1
        size += len(text.encode("utf-8", "surrogatepass")) if source.max_bytes else 0
        if count == source.max_documents or size >= (source.max_bytes or size + 1):
            break
    errors.end_source()


def _located(source: Source, errors: InputErrors, shard: Shard) -> Iterator[Located]:
    if source.files:
        yield from read_files(
            source.files, source.text_field, errors, encoding=source.encoding, shard=shard
        )
    elif source.dataset:
        yield from read_dataset(source, errors, shard)
    elif source.token_files:
        yield from read_token_files(source, errors, shard)
    else:
        for number, text in enumerate(read_package(str(source.package)), start=1):
            yield f"package {source.package}: document {number}", text


def batch_documents(texts: Iterator[str]) -> Iterator[list[str]]:
    """Group documents into lists of about `BATCH_CHARACTERS` characters."""
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
