"""The section of the configuration that describes a base: a model that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from splitlaw.common.errors import UserError
from splitlaw.experiment.existing_model import read_model
from splitlaw.experiment.section import Positive, Settings
from splitlaw.experiment.settings import SizeConfig

BASE = "base"
"""Name of the size of a base, and of the section that describes it."""
FROM_BASE = ("tokenizer", "sizes", "holdout_sizes")
"""Sections that a base determines."""


class CountedConfig(Settings):
    """Values that the program reads from the files of a base; do not give them."""

    folder: str
    """Folder of the model, which may be one that the Hub's library has stored."""
    digest: str
    """Identifies the weights."""
    architecture: str
    """Class of the model."""
    vocabulary: Positive
    """Rows of the embedding."""
    width: Positive
    """Width of the hidden states."""
    layers: Positive
    """Number of transformer blocks."""
    heads: Positive
    """Number of attention heads."""
    intermediate: Positive
    """Width of the feed-forward layer."""
    longest_context: Positive | None
    """Largest context of the model; null if there is no limit."""
    params: Positive
    """Number of all parameters."""
    non_embedding_params: Positive
    """All but the embeddings and the head."""


class BaseConfig(Settings):
    """A model that exists and takes the place of the trunk."""

    path: str
    """A causal language model of `transformers` with its tokenizer: a folder, or a name on the
    Hugging Face Hub. Its weights are in safetensors files; code from its folder is never run."""
    revision: str | None = None
    """Commit of a model from the Hub."""
    pretrain_tokens: Positive | Literal["unknown"]
    """Number of tokens that the model was trained on. The columns `pretrain_tokens` include them;
    if they are unknown, the columns count only the tokens after them."""
    model: CountedConfig | None = None
    """Values that the program reads from the files of the model; do not give them."""


def with_base(content: Mapping[str, Any], *, where: str) -> Mapping[str, Any]:
    """The configuration with the sections that its base determines; without one, as it is.

    Reads the files of the base. Raises `UserError` for a base that cannot be trained, and for a
    section of `FROM_BASE` that is given too.
    """
    given = content.get(BASE)
    if not isinstance(given, Mapping) or "model" in given or not isinstance(given.get("path"), str):
        return content
    twice = next((key for key in FROM_BASE if content.get(key)), None)
    if twice is not None:
        raise UserError(f"{where}: {twice} is given, but the base determines it; remove {twice}")
    counted = read_model(given["path"], given.get("revision"))
    size = {key: counted[key] for key in SizeConfig.model_fields}
    final = content.get("final")
    return {
        **content,
        BASE: {**given, "model": counted},
        "tokenizer": {"path": counted["folder"], "vocabulary": counted["vocabulary"]},
        "sizes": {BASE: size},
        "holdout_sizes": [],
        **({"final": {"size": BASE, **final}} if isinstance(final, Mapping) else {}),
    }
