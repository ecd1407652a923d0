"""The section of the configuration that describes a base: a model that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from splitlaw.common.errors import UserError
from splitlaw.experiment.existing_model import read_model
from splitlaw.experiment.section import Positive, Settings, whole
from splitlaw.experiment.settings import FinalConfig, SizeConfig

UNKNOWN = "unknown"
"""In place of the tokens of a base, where they are not known."""
BASE = "base"
"""Name of the size of a base, and of the section that describes it."""
FROM_BASE = ("tokenizer", "sizes", "holdout_sizes")
"""Sections that a base determines."""


def check_tokens(value: Any) -> int | str:
    """The tokens of a base; refuses what is neither a whole number above 0 nor `unknown`."""
    counted = whole(value)
    if isinstance(counted, int) and not isinstance(counted, bool) and counted >= 1:
        return counted
    if value != UNKNOWN:
        raise ValueError(f"is {value!r}; give a whole number of at least 1, or {UNKNOWN}")
    return UNKNOWN


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
    pretrain_tokens: Annotated[
        Positive | Literal["unknown"],
        PlainValidator(check_tokens, json_schema_input_type=Positive | Literal["unknown"]),
    ]
    """Number of tokens that the model was trained on. The columns `pretrain_tokens` include them;
    if they are unknown, the columns count only the tokens after them."""
    model: CountedConfig | None = None
    """Values that the program reads from the files of the model; do not give them."""


def with_base(content: Mapping[str, Any], *, where: str) -> Mapping[str, Any]:
    """The configuration with the sections that its base determines; without one, as it is.

    A base that is null is no base: an overlay removes that of another file with it. Reads the files
    of the base. Raises `UserError` for a base that cannot be trained, and for a section of
    `FROM_BASE` that is given too.
    """
    given = content.get(BASE)
    if given is None:
        return {key: value for key, value in content.items() if key != BASE}
    if isinstance(given, Mapping) and "model" in given:
        return content
    if not (isinstance(given, Mapping) and isinstance(given.get("path"), str)):
        raise UserError(f"{where}: base has no path of a model; write base: {{path: FOLDER, ...}}")
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


def planned_replay(final: FinalConfig, domains: Iterable[str]) -> dict[str, float | str]:
    """`final.replay` of each domain, for a plan with shares of its own; empty if it is not given.

    Under a limit it is `free` for a domain without a share, which the plan then chooses.
    """
    if "replay" not in final.model_fields_set:
        return {}
    given = final.replay
    if not isinstance(given, Mapping):
        return dict.fromkeys(domains, given)
    rest = 0.0 if final.max_general_loss_rise is None else "free"
    return {domain: given.get(domain, rest) for domain in domains}
