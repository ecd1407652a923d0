"""An existing tokenizer, which `tokenizer.path` names: a folder, a file, or a name on the Hub."""

import hashlib
import sys
import unicodedata
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import is_file, is_folder
from splitlaw.common.tokenizer_file import TOKENIZERS, count_tokens
from splitlaw.corpus.sources.saved_tokenizer import local_tokenizer, open_tokenizer
from splitlaw.experiment.settings import TokenizerConfig

_PROBE = "Zażółć gęślą jaźń — 深層学習 🧪 ∀ε>0 \u200b\U0010fffd\n"
"""Rare characters, which only a byte-level tokenizer encodes without unknown tokens."""
_FILE = "tokenizer.json"
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "<eot>")
"""Usual names of the end of text, for a tokenizer whose files do not say which token it is."""


def check_tokenizer(config: TokenizerConfig) -> None:
    """Refuse a local tokenizer that is missing or larger than the models' vocabulary.

    This requires neither `transformers` nor the network, so it is done before the corpus is
    prepared. Nothing is checked of a name on the Hub.
    """
    path = _local_path(config)
    if path is None:
        return
    found = is_file(path) or any(is_file(path / name) for name in TOKENIZERS)
    if not found:
        problem = f"has none of {', '.join(TOKENIZERS)}" if is_folder(path) else "no such folder"
        raise UserError(
            f"tokenizer.path {config.path}: {problem}; give a folder with a saved tokenizer, or "
            "its tokenizer.json"
        )
    file = path if path.is_file() else path / _FILE
    if file.is_file():
        _check_size(config, _tokens_of(file, config))


def tokenizer_digest(config: TokenizerConfig) -> str:
    """Return a digest of the files of a local tokenizer; empty if there is none."""
    path = _local_path(config)
    if path is None:
        return ""
    files = [path] if path.is_file() else sorted(path.glob("*.*"))
    total = hashlib.sha256()
    for file in files:
        if file.is_file() and file.suffix in (".json", ".model", ".txt"):
            total.update(file.name.encode("utf-8", "surrogateescape") + file.read_bytes())
    return total.hexdigest()[:16]


def copy_tokenizer(config: TokenizerConfig, out: Path) -> None:
    """Copy a tokenizer from a folder, a file or the Hub into the folder `out`.

    It must have an end-of-text token, encode any text, and fit the models' vocabulary.
    """
    check_tokenizer(config)
    assert config.path is not None
    tokenizer = open_tokenizer(config.path, config.revision, key="tokenizer.path")
    if tokenizer.eos_token_id is None:
        vocabulary = tokenizer.get_vocab()
        tokenizer.eos_token = next((name for name in _ENDS if name in vocabulary), None)
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"tokenizer.path {config.path}: has no eos_token; name the token that ends a text in "
            'tokenizer_config.json, as "eos_token"'
        )
    _check_size(config, max(tokenizer.get_vocab().values()) + 1)
    _check_probe(tokenizer, config)
    tokenizer.save_pretrained(out)


def _check_size(config: TokenizerConfig, tokens: int) -> None:
    if tokens > config.vocabulary:
        raise UserError(
            f"tokenizer.path {config.path}: has {tokens} tokens, and tokenizer.vocabulary is "
            f"{config.vocabulary}; set tokenizer.vocabulary to at least {tokens}"
        )


def _check_probe(tokenizer: Any, config: TokenizerConfig) -> None:
    """Refuse a tokenizer that loses characters; warn of one that only changes their form."""
    encoded = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    decoded = tokenizer.decode(encoded, clean_up_tokenization_spaces=False)
    unknown = tokenizer.unk_token_id is not None and tokenizer.unk_token_id in encoded
    if unknown or _folded(decoded) != _folded(_PROBE):
        raise UserError(
            f"tokenizer.path {config.path}: cannot encode every character; give a byte-level one"
        )
    if decoded.strip() != _PROBE.strip():
        print(
            f"warning: tokenizer.path {config.path}: changes the case, spaces or Unicode form of "
            "text; losses are those of the changed text",
            file=sys.stderr,
        )


def _folded(text: str) -> str:
    """The text without its case, spaces and Unicode form."""
    return "".join(unicodedata.normalize("NFKC", text.casefold()).replace("\u200b", "").split())


def _tokens_of(file: Path, config: TokenizerConfig) -> int:
    """Number of tokens of a `tokenizer.json`."""
    try:
        return count_tokens(file)
    except ValueError as cause:
        raise UserError(
            f"tokenizer.path {config.path}: {cause}; save the tokenizer again"
        ) from None


def _local_path(config: TokenizerConfig) -> Path | None:
    return None if config.path is None else local_tokenizer(config.path)
