"""The documents of a configured source, whatever its kind, in batches."""

import os
from collections.abc import Iterator

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.files import LONGEST, TOO_LONG, read_files, resolve
from splitlaw.corpus.sources.hub import read_dataset
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.packages import read_package
from splitlaw.experiment.corpus_settings import Source

BATCH_CHARACTERS = 2_000_000
_BATCH_DOCUMENTS = 4096


def documents(source: Source, trouble: InputErrors) -> Iterator[str]:
    """The raw texts of a source up to its caps; what cannot be read goes to `trouble`."""
    count = size = 0
    for where, text in _located(source, trouble):
        if len(text) > LONGEST:
            trouble.report(where, TOO_LONG)
            continue
        if "\0" in text:
            trouble.report(where, "NUL bytes in the text; it may be binary or UTF-16")
            continue
        yield text
        count += 1
        size += len(text.encode("utf-8", "surrogatepass")) if source.max_bytes else 0
        if count == source.max_documents or size >= (source.max_bytes or size + 1):
            return


def _located(source: Source, trouble: InputErrors) -> Iterator[tuple[str, str]]:
    if source.files:
        yield from read_files(source.files, source.text_field, trouble)
    elif source.dataset:
        yield from read_dataset(source, trouble)
    else:
        for number, text in enumerate(read_package(str(source.package)), start=1):
            yield f"package {source.package}: document {number}", text


def check_shared_files(sources: list[tuple[str, Source]]) -> None:
    """Refuse a file that the globs of two domains match; `sources` are (domain, source) pairs."""
    owners: dict[str, str] = {}
    for domain, source in sources:
        for path in resolve(source.files) if source.files else []:
            owner = owners.setdefault(os.path.realpath(path), domain)
            if owner != domain:
                raise UserError(
                    f"{path}: a file of domain {owner} and of domain {domain}; "
                    "give it to one of them"
                )


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
