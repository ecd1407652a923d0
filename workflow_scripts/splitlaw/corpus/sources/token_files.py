"""Documents of tokenised files, decoded to text by the tokenizer that made their ids.

The text is cleaned, compared and divided as that of any other source, and `tokenize` encodes it
again, with the same tokenizer or with another one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.corpus.shards import WHOLE, Shard
from splitlaw.corpus.sources.availability import token_paths
from splitlaw.corpus.sources.files import POINTER, files_of_shard, is_pointer
from splitlaw.corpus.sources.formats import FORMATS, file_format
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import COMPRESSED, Located, first_line
from splitlaw.corpus.sources.saved_tokenizer import open_tokenizer
from splitlaw.corpus.sources.token_arrays import Ids, read_id_arrays
from splitlaw.experiment.source_settings import Source

_COMPARED_DOCUMENTS = 1000
"""Documents of a source that are encoded again, which takes some seconds."""
_OTHER_SUFFIXES = (*COMPRESSED, ".npz", ".yaml")
"""Suffixes of other files that are stored beside token files, besides those of text."""


def read_token_files(
    source: Source, errors: InputErrors, shard: Shard = WHOLE
) -> Iterator[Located]:
    """Yield the text of every document of the files that `source.token_files` matches.

    Prints how many of the first documents have other ids when they are encoded again.
    """
    decoder = _Decoder(source)
    paths = token_paths(str(source.token_files))
    if not paths:
        errors.report(str(source.token_files), "matches no token file; match files such as *.bin")
    try:
        for path in files_of_shard(paths, shard):
            yield from _read_file(path, decoder, errors)
    finally:
        decoder.print_differences()


def check_token_files(source: Source) -> None:
    """Raise `UserError` if the tokenizer of token files cannot be opened, before any is read."""
    if source.token_files:
        _Decoder(source)


def _read_file(path: Path, decoder: "_Decoder", errors: InputErrors) -> Iterator[Located]:
    errors_before, number = errors.counts.total(), 0
    try:
        if (other := _other_content(path)) is not None:
            errors.report(str(path), other)
            return
        for ids in read_id_arrays(path, decoder.flat_type, decoder.end_of_text, errors):
            number += 1
            location = f"{path}: document {number}"
            if (problem := decoder.problem(ids)) is not None:
                errors.report(location, problem)
            else:
                yield location, decoder.text(ids)
    except (OSError, ValueError) as cause:
        errors.report(str(path), f"truncated or damaged ({first_line(cause)})")
    if not number and errors.counts.total() == errors_before:
        errors.count_empty(str(path))


def _other_content(path: Path) -> str | None:
    """Return why a file has no ids, as its name or its beginning shows; None if it may have some.

    Any bytes are integers, so that such a file would be decoded to text.
    """
    if is_pointer(path):
        return POINTER
    if file_format(path) in FORMATS or path.suffix.lower() in _OTHER_SUFFIXES:
        return "no token file by its name; match files such as *.bin"
    return None


class _Decoder:
    """The tokenizer of a source of token files."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokenizer = open_tokenizer(str(source.tokenizer), source.revision, key="tokenizer")
        # Ids may have gaps, so that the number of tokens is not the largest id and one.
        size = max([len(self.tokenizer) - 1, *self.tokenizer.get_vocab().values()]) + 1
        tokens = self.tokenizer.convert_ids_to_tokens(range(size))
        self.known = np.array([token is not None for token in tokens])
        """Whether the tokenizer has an id, `bool [ids]`."""
        fits = size <= 1 << 16
        name = source.token_type or ("uint16" if fits else "uint32")
        self.flat_type = np.dtype(name).newbyteorder("<")
        """Type of the ids in files without a header."""
        given = source.end_of_text
        self.end_of_text = self.tokenizer.eos_token_id if given is None else given
        if self.end_of_text is None:
            raise UserError(
                f"tokenizer {source.tokenizer}: has no eos_token; set end_of_text of the source"
            )
        self.compared = self.different = 0

    def problem(self, ids: Ids) -> str | None:
        """Return why the ids cannot be decoded; None if they can."""
        inside = (ids >= 0) & (ids < self.known.size)
        inside[inside] = self.known[ids[inside]]
        if inside.all():
            return None
        return (
            f"id outside the vocabulary ({ids[~inside][0]}, and tokenizer {self.source.tokenizer} "
            f"has {self.known.sum()} ids); name the tokenizer that made the ids, or set token_type"
        )

    def text(self, ids: Ids) -> str:
        """Return the text of a document, without a token that begins every text."""
        listed = ids.tolist()
        begin = self.tokenizer.bos_token_id
        listed = listed[1:] if begin is not None and listed[0] == begin else listed
        text = self.tokenizer.decode(
            listed, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        if self.compared < _COMPARED_DOCUMENTS:
            again = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            self.compared += 1
            self.different += again != listed
        return str(text)

    def print_differences(self) -> None:
        """Print how many of the compared documents are not encoded to the same ids."""
        if self.different:
            print(
                f"token_files {self.source.token_files}: {self.different} of the first "
                f"{self.compared} documents have other ids when their text is encoded again",
                file=sys.stderr,
            )
