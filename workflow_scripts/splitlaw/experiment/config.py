"""An experiment: the checked configuration, and the runs that follow from it.

Configuration flows one way: `config.yaml`, the JSON schema, canonical JSON in a rule's params, the
frozen dataclasses here, `run.json`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.shape import Shape

Config = Mapping[str, Any]

SIZE_KEYS = (
    "holdout_sizes",
    "final.size",
    "compare.sizes",
    "frontier.size",
    "tune_learning_rate.sizes",
    "execution.by_size",
)
"""Where the configuration names sizes."""


def load_config(source: str) -> dict[str, Any]:
    """Configuration from inline JSON or from the path of a JSON or YAML file."""
    if source.lstrip().startswith("{"):
        return dict(json.loads(source))
    try:
        return dict(yaml.safe_load(Path(source).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as cause:
        reason = " ".join(str(cause).split())
        raise UserError(f"{source}: cannot be read as YAML ({reason}); mend the file") from None


def check_config(config: Config, schema: Config, *, file: str = "config.yaml") -> None:
    """Refuse a configuration that its schema or plain sense forbids, naming the key."""
    errors = jsonschema.Draft202012Validator(schema).iter_errors(config)
    worst = jsonschema.exceptions.best_match(errors)
    if worst is not None:
        raise UserError(f"{file}: {_explain(worst)}")
    _check_sizes(config, file)
    _check_grid(config, file)
    _check_domains(config, file)


def _explain(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "the top level"
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys are {', '.join(known)}"
        return f"unknown key {unknown} in {where}; {hint}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{where} has no {missing}; add it"
    if isinstance(error.instance, str) and error.validator == "type":
        return f"{where} is the text '{error.instance}'; write a number (3.0e-4, not 3e-4)"
    return f"{where}: {error.message}; mend the value"


def _check_sizes(config: Config, file: str) -> None:
    seen: dict[Shape, str] = {}
    for name in config["sizes"]:
        try:
            shape = shape_of(config, name)
        except UserError as cause:
            raise UserError(f"{file}: sizes.{name}: {cause}") from None
        if shape in seen:
            raise UserError(
                f"{file}: sizes.{name} repeats sizes.{seen[shape]}; change or remove one of them"
            )
        seen[shape] = name
    for key in SIZE_KEYS:
        value: Any = config
        for part in key.split("."):
            value = value.get(part, {})
        for name in [value] if isinstance(value, str) else value:
            if name not in config["sizes"]:
                known = ", ".join(config["sizes"])
                raise UserError(f"{file}: {key} names {name}; the sizes are {known}")


def _check_grid(config: Config, file: str) -> None:
    trunk = config["grid"]["trunk_tokens"]
    for size in config["sizes"]:
        key = "holdout" if size in config["holdout_sizes"] else "fit"
        for column in ("pretrain_tokens", "unsplit_tokens"):
            longest = max(config["grid"][key].get(column, [0]), default=0)
            if longest > trunk:
                raise UserError(
                    f"{file}: grid.{key}.{column} has {longest}, beyond grid.trunk_tokens, "
                    f"which is {trunk}; lower the one or raise the other"
                )
    _check_repeat(config, file)
    batch, context = config["training"]["batch_tokens"], config["model"]["context"]
    if batch % context:
        raise UserError(
            f"{file}: training.batch_tokens is {batch}; give a multiple of model.context, {context}"
        )


def _check_repeat(config: Config, file: str) -> None:
    grid = config["grid"]
    repeat = grid.get("repeat", {"seeds": [], "pretrain_tokens": []})
    for seed in set(repeat["seeds"]) & set(grid["seeds"]):
        raise UserError(
            f"{file}: grid.repeat.seeds has {seed}, which grid.seeds has too; name another seed"
        )
    for key in ("fit", "holdout"):
        if not set(repeat["pretrain_tokens"]) <= set(grid[key]["pretrain_tokens"]):
            known = ", ".join(map(str, grid[key]["pretrain_tokens"]))
            raise UserError(
                f"{file}: grid.repeat.pretrain_tokens has a value that grid.{key}.pretrain_tokens "
                f"lacks; choose among {known}"
            )


def domain_names(config: Config) -> list[str]:
    """The domains of an experiment, given or to be discovered."""
    domains = config["corpus"]["domains"]
    if "discover" in domains:
        return [f"cluster_{number}" for number in range(1, domains["discover"] + 1)]
    return list(domains)


def _check_domains(config: Config, file: str) -> None:
    corpus = config["corpus"]
    if GENERAL in corpus["domains"]:
        raise UserError(f"{file}: corpus.domains has {GENERAL}; that name is the mixture's, rename")
    for domain in corpus["general"].get("slices", {}):
        if domain not in domain_names(config):
            raise UserError(
                f"{file}: corpus.general.slices names {domain}, which is no domain; "
                f"the domains are {', '.join(domain_names(config))}"
            )


def shape_of(config: Config, size: str) -> Shape:
    """The shape of a size named in the configuration."""
    return Shape(
        vocabulary=config["tokenizer"]["vocabulary"],
        context=config["model"]["context"],
        **config["sizes"][size],
    )


def execution_of(config: Config, size: str | None = None) -> dict[str, Any]:
    """How runs are computed, those of `size` with what `execution.by_size` says of it."""
    execution = dict(config.get("execution", {}))
    by_size = execution.pop("by_size", {})
    return {**execution, **by_size.get(size, {})}


def learning_rate_sweep(config: Config) -> dict[str, Any]:
    """Sizes, rates and tokens of the sweep; without a word of it, what brackets the rate in use."""
    rate = config["training"]["learning_rate"]
    sweep = {
        "sizes": [size for size in config["sizes"] if size not in config["holdout_sizes"]],
        "rates": [rate * factor for factor in (0.25, 0.5, 1, 2, 4)],
        "tokens": max(config["grid"]["fit"]["pretrain_tokens"]),
    }
    return {**sweep, **config.get("tune_learning_rate", {})}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The runs of one size: cells of D and D' for every domain, and the unsplit runs."""

    batch_tokens: int
    """Tokens a step."""
    cells: tuple[tuple[int, int], ...]
    """(D, D') in steps of every branch, the same for each domain."""
    unsplit: tuple[int, ...]
    """Totals in steps of the runs on general alone."""

    def runs(self, domain: str) -> list[Run]:
        """The runs on a domain, or the unsplit ones of `general`."""
        if domain == GENERAL:
            return [
                Run(domain=GENERAL, pretrain_steps=total, specialize_steps=0)
                for total in self.unsplit
            ]
        return [
            Run(domain=domain, pretrain_steps=pretrain, specialize_steps=specialize)
            for pretrain, specialize in self.cells
        ]


def needed_tokens(config: Config, domain: str) -> int:
    """Training tokens that the grid's longest run reads of a domain; 0 where it may repeat text."""
    longest = 0
    for size in config["sizes"]:
        runs = grid_of(config, size).runs(domain)
        steps = [run.pretrain_steps if domain == GENERAL else run.specialize_steps for run in runs]
        if not execution_of(config, size).get("repeat"):
            longest = max(longest, *steps)
    return longest * int(config["training"]["batch_tokens"])


def grid_seeds(config: Config) -> list[int]:
    """The seeds of the grid, those that repeat a part of it last."""
    return [*config["grid"]["seeds"], *config["grid"].get("repeat", {}).get("seeds", [])]


def grid_of(config: Config, size: str, seed: int | None = None) -> Grid:
    """The grid of a size, without cells that are too short for it to say anything.

    A seed of `grid.repeat` has the cells at its D and the unsplit runs of their totals.

    Cells of fewer than `grid.min_tokens_per_param` tokens per parameter are left out: such runs are
    far from any power law and spoil every form. The unsplit runs have the totals of the cells
    that a trunk reaches, and `unsplit_tokens`.
    """
    part = config["grid"]["holdout" if size in config["holdout_sizes"] else "fit"]
    repeat = config["grid"].get("repeat", {})
    if seed in repeat.get("seeds", []):
        kept = sorted(set(part["pretrain_tokens"]) & set(repeat["pretrain_tokens"]))
        part = {"pretrain_tokens": kept, "specialize_tokens": part["specialize_tokens"]}
    batch = config["training"]["batch_tokens"]
    least = config["grid"]["min_tokens_per_param"] * shape_of(config, size).params
    cells = sorted(
        (round(pretrain / batch), round(specialize / batch))
        for pretrain in set(part["pretrain_tokens"])
        for specialize in set(part["specialize_tokens"])
        if pretrain + specialize >= least
    )
    if not cells:
        raise UserError(
            f"grid: no cell of size {size} has {least / 1e6:.2f}M tokens, which is "
            f"grid.min_tokens_per_param times its parameters; add larger ones"
        )
    totals = {pretrain + specialize for pretrain, specialize in cells}
    totals |= {round(tokens / batch) for tokens in part.get("unsplit_tokens", [])}
    longest = round(config["grid"]["trunk_tokens"] / batch)
    unsplit = sorted(total for total in totals if total <= longest)
    return Grid(batch_tokens=batch, cells=tuple(cells), unsplit=tuple(unsplit))
