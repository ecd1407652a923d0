"""Checks of an experiment's results folder: it is writable and has results of one configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import canonical_json, read_json, write_json
from splitlaw.experiment.config import ExperimentConfig

RATE_KEYS = ("learning_rate", "reference_params", "learning_rate_exponent")
"""Keys of `training` that `tune_learning_rate` determines."""


def identity(config: ExperimentConfig) -> dict[str, Any]:
    """The part of the configuration that identifies the results of an experiment.

    A changed value would give other results under the same names. Sizes and tokens can be added,
    and domains unless general text includes them.
    """
    corpus = config.as_written("corpus")["corpus"]
    general = corpus["general"].get("sources", [])
    if config.corpus.general.includes_domains:
        general = {"sources": general, "domains": sorted(config.domain_names)}
    return {
        "corpus": {
            "seed": config.corpus.seed,
            "general": general,
            "domains": corpus["domains"],
        },
        **config.as_written("sizes", "tokenizer", "model", "training"),
        **({"base": config.base.model.digest} if config.base and config.base.model else {}),
    }


def check_results(folder: Path, wanted: dict[str, Any]) -> None:
    """Refuse a results folder that is not writable or has results of another configuration.

    `wanted` is the `identity` of the configuration, which is recorded in the folder. Until the grid
    is trained, the learning rate may change, because `tune_learning_rate` determines it.
    """
    check_writable(folder)
    record = folder / "experiment.json"
    if record.exists():
        recorded = read_json(record)
        if not (folder / "runs").exists():
            rates = {key: wanted["training"][key] for key in RATE_KEYS if key in wanted["training"]}
            recorded["training"] = {**recorded.get("training", {}), **rates}
        difference = first_difference(recorded, wanted)
        if difference:
            raise UserError(
                f"{folder}: has results of another configuration ({difference}); give `experiment` "
                "another name, or move the folder away"
            )
    write_json(record, wanted)


def check_writable(folder: Path) -> None:
    """Create `folder` and write a file in it, or raise an error that states the reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as cause:
        raise UserError(
            f"{folder}: cannot be written ({cause.strerror}); change its permissions or free space"
        ) from None


def first_difference(recorded: Any, wanted: Any, key: str = "") -> str:
    """The first key that has different values in both, as text; empty if there is none.

    A key that only one of them has is an addition or a removal, not a difference.
    """
    if isinstance(recorded, dict) and isinstance(wanted, dict):
        for part in recorded.keys() & wanted.keys():
            found = first_difference(recorded[part], wanted[part], f"{key}.{part}".lstrip("."))
            if found and part != "schema_version":
                return found
        return ""
    if canonical_json(recorded) == canonical_json(wanted):
        return ""
    return f"{key} was {canonical_json(recorded)}, is {canonical_json(wanted)}"
