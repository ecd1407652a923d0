"""A source of documents, in the section `corpus` of the configuration."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from splitlaw.experiment.section import Natural, Number, Positive, Settings

NOT_OF_TEXT = ("idna", "punycode", "unicode-escape", "raw-unicode-escape")
"""Codecs of Python for host names and source code, which would change the text of a file."""


def _check_encoding(name: str) -> str:
    try:
        text = name == "auto" or not isinstance("".encode(name), str)
        text &= name == "auto" or codecs.lookup(name).name not in NOT_OF_TEXT
    except (LookupError, ValueError):
        text = False
    if not text:
        raise ValueError(f"{name} is no encoding; give utf-8, auto, or a name such as cp1252")
    return name


class Source(Settings):
    """A source of documents: exactly one of `package`, `files`, `dataset` and `token_files`."""

    package: str | None = None
    """A built-in corpus, read from an installed Python package."""
    files: str | None = None
    """A glob pattern of files, relative to the working directory."""
    dataset: str | None = None
    """Name of a data set on the Hugging Face Hub, or a folder that `datasets` can open."""
    token_files: str | None = None
    """A glob pattern of tokenised files: Megatron's `.bin` with its `.idx`, `.npy`, or flat files
    of integers."""
    tokenizer: str | None = None
    """Folder or name on the Hub of the tokenizer that made the ids of `token_files`."""
    token_type: Literal["uint16", "uint32"] | None = None
    """Type of the ids in token files without a header; by default `uint16` if the ids of the
    tokenizer fit into it."""
    end_of_text: Natural | None = None
    """Id between two documents of token files; by default the end of text of the tokenizer."""
    text_field: str = "text"
    """Field or column that holds the text."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"
    """Encoding of text, JSON and CSV files: a name that Python knows, such as `cp1252`, or `auto`,
    which detects the encoding of each file."""
    config: str | None = None
    """Configuration of the data set, if it has several."""
    split: str = "train"
    """Split of the data set."""
    revision: str | None = None
    """Commit of the data set or of the tokenizer. Without it, the corpus changes when they do."""
    streaming: bool = False
    """Read a data set of the Hub without downloading all of it."""
    max_documents: Positive | None = None
    """Stop after this many documents."""
    max_bytes: Positive | None = None
    """Stop after this many bytes of UTF-8 text."""
    weight: Annotated[Number, Field(gt=0)] | None = None
    """Share of the source in `general`, relative to the weights of the other sources."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        kinds = ("package", "files", "dataset", "token_files")
        named = [kind for kind in kinds if getattr(self, kind)]
        if len(named) != 1:
            raise ValueError(
                "a source has exactly one of package, files, dataset and token_files, and this "
                f"one has {' and '.join(named) or 'none'}; give one"
            )
        return self

    @model_validator(mode="after")
    def _has_a_tokenizer_for_token_files(self) -> Self:
        if self.token_files and not self.tokenizer:
            raise ValueError(
                f"token_files {self.token_files} has no tokenizer; give the folder or the name of "
                "the one that made the ids"
            )
        for key in ("tokenizer", "token_type", "end_of_text"):
            if not self.token_files and getattr(self, key) is not None:
                raise ValueError(f"{key} describes token_files, which are not given; remove it")
        return self

    @property
    def pattern(self) -> str | None:
        """The glob pattern of the source's files; None if it has none."""
        return self.files or self.token_files

    @property
    def label(self) -> str:
        """Short name under which the source's documents are counted."""
        return self.package or self.pattern or str(self.dataset)

    @property
    def identity(self) -> tuple[str, ...]:
        """The text that is read, apart from limits, as values to compare with other sources."""
        return (self.label, str(self.config), self.split, str(self.revision), self.text_field)
