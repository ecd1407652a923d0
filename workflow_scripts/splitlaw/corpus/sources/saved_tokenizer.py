"""Opening of a saved tokenizer: a folder, a `tokenizer.json`, or a name on the Hub."""

import os
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import is_file, is_folder

_MAX_CAUSE_CHARACTERS = 200  # messages of `transformers` can be many lines long


def local_tokenizer(name: str) -> Path | None:
    """Return the folder or file that `name` names; None for a name on the Hub."""
    # Path.expanduser raises an error for a user who does not exist.
    path = Path(os.path.expanduser(name))  # noqa: PTH111
    written_as_path = name.startswith(("/", ".", "~")) or name.count("/") > 1
    return path if is_file(path) or is_folder(path) or written_as_path else None


def open_tokenizer(name: str, revision: str | None, *, key: str) -> Any:
    """Return the tokenizer of `transformers`.

    `key` is the key of the configuration whose value is `name`, for the `UserError` if there is no
    such tokenizer.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # takes seconds to import

    path = local_tokenizer(name)
    try:
        if path is not None and path.is_file():
            return PreTrainedTokenizerFast(tokenizer_file=str(path))
        return AutoTokenizer.from_pretrained(
            name if path is None else path,
            revision=revision,
            use_fast=True,
            trust_remote_code=False,  # otherwise it asks, and a job has no terminal
        )
    except Exception as cause:  # the libraries raise bare exceptions for damaged files
        reason = " ".join(str(cause).split())[:_MAX_CAUSE_CHARACTERS] or type(cause).__name__
        remedy = "give a folder with tokenizer.json"
        if path is None:
            remedy += ", or, without a network, set HF_HUB_OFFLINE=1 and use a cached tokenizer"
        if "custom code" in reason:
            reason = "requires code of its own, which is never run"
            remedy = "give the path of its tokenizer.json, or another tokenizer"
        raise UserError(
            f"{key} {name}: cannot be opened ({reason.rstrip('.')}); {remedy}"
        ) from None
