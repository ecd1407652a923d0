"""What a report is made from: every file of an experiment that is there, and words for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.laws import FitResult
from splitlaw.laws.table import GENERAL, REQUIRED
from splitlaw.stages.final_results import FinalModel, Json, models_in_comparison, read_final_models
from splitlaw.stages.recipe_results import RecipeResult, recipe_results

FILES = {
    "losses": ("losses.csv", "snakemake evaluate"),
    "fit": ("law/fit.json", "snakemake fit_law"),
    "plan": ("split/plan.json", "snakemake choose_split"),
    "comparison": ("final/comparison.csv", "snakemake train_final"),
    "cost": ("cost.csv", "snakemake evaluate"),
    "benchmarks": ("benchmarks.csv", "snakemake benchmark"),
}
"""File of each part within the results, and the command that makes it."""

NEEDED = ("losses", "fit", "plan", "comparison")
"""Parts without which the page's answer is not whole."""

WITHOUT = {
    "losses": "The table of losses is missing: no figure of the grid",
    "fit": "There is no fitted law yet: no predictions, no figure of the fit",
    "plan": "There is no plan yet: no answer for a budget",
    "comparison": "There are no final models yet: the plan has not been put to the test",
}
"""What a report lacks without each part."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The parts of an experiment, None or empty where they are not there."""

    folder: Path
    """The experiment's results."""
    losses: pd.DataFrame | None = None
    """`losses.csv`."""
    fit: FitResult | None = None
    """`law/fit.json`."""
    plan: Json | None = None
    """`split/plan.json`."""
    comparison: pd.DataFrame | None = None
    """`final/comparison.csv`."""
    cost: pd.DataFrame | None = None
    """`cost.csv`."""
    benchmarks: pd.DataFrame | None = None
    """`benchmarks.csv`."""
    cards: Mapping[str, Json] = field(default_factory=dict)
    """Corpus cards by domain."""
    tokens: Mapping[str, Json] = field(default_factory=dict)
    """Sidecars of the token files by domain."""
    finals: tuple[FinalModel, ...] = ()
    """The final models whose folders are there."""

    @property
    def missing(self) -> list[str]:
        """A sentence for each part that is not there, with the command that makes it."""
        return [
            f"{WITHOUT[part]}. {FILES[part][0]} comes from: {FILES[part][1]}."
            for part in NEEDED
            if getattr(self, part) is None
        ]

    @property
    def domains(self) -> list[str]:
        """The domains in the order that every figure and table keeps."""
        if self.plan is not None:
            return list(self.plan["specialize_tokens"])
        if self.fit is not None:
            return list(self.fit.domains)
        assert self.rows is not None
        return sorted(self.rows["domain"].unique())

    @property
    def sizes(self) -> dict[str, float]:
        """Parameters of the sizes that the table of losses names."""
        if self.losses is None or "size" not in self.losses:
            return {}
        return {str(k): float(v) for k, v in self.losses.groupby("size")["params"].first().items()}

    @cached_property
    def rows(self) -> pd.DataFrame | None:
        """The losses that a law is about, with `predicted` where there is a fit."""
        if self.losses is None:
            return None
        rows = law_rows(self.losses)
        if self.fit is None:
            return rows.assign(predicted=float("nan"))
        rows = rows[rows["domain"].isin(self.fit.domains)].reset_index(drop=True)
        return rows.assign(predicted=self.fit.predict(rows)["loss"])


def law_rows(losses: pd.DataFrame) -> pd.DataFrame:
    """Rows of a model on its own domain, or of an unsplit one, with columns that a report needs.

    A table written by hand has neither `size` nor `split`: sizes are then named by their
    parameters, and every row counts as fitted.
    """
    table = losses.assign(domain=losses["domain"].astype(str).str.strip())
    keep = table["pretrain_tokens"] + table["specialize_tokens"] > 0
    if (table["domain"] != GENERAL).any():
        keep &= table["domain"] != GENERAL
    if "train_domain" in table:
        trained = table["train_domain"]
        own = trained.isna() | (trained.astype(str).str.strip() == table["domain"])
        keep &= own | (table["specialize_tokens"] == 0)
    table = table[keep].reset_index(drop=True)
    if "size" not in table:
        table["size"] = [f"{n:,.0f}" for n in table["params"]]
    if "split" not in table:
        table["split"] = "fit"
    return table.sort_values("params", kind="stable", ignore_index=True)


def read_inputs(folder: Path) -> Inputs:
    """Read what there is in an experiment's results.

    Raises `UserError` where there is neither a table of losses nor a fit.
    """
    paths = {part: folder / file for part, (file, _) in FILES.items()}
    if not any(paths[part].exists() for part in ("losses", "fit")):
        raise UserError(
            f"{folder}: has neither losses.csv nor law/fit.json; name the results of an experiment"
        )
    names = ("losses", "comparison", "cost", "benchmarks")
    tables = {name: _read_table(paths[name], name) for name in names}
    seeds = _read_table(folder / SEEDS, "comparison")
    tables["comparison"] = with_more_seeds(tables["comparison"], seeds)
    return Inputs(
        folder=folder,
        fit=FitResult.load(paths["fit"]) if paths["fit"].exists() else None,
        plan=_read_plan(paths["plan"]),
        cards=_by_folder(folder.glob("corpus/*/card.json")),
        tokens=_by_folder(folder.glob("tokens/*/tokens.json")),
        finals=models_in_comparison(read_final_models(folder / "final"), tables["comparison"]),
        **tables,
    )


def read_recipes(inputs: Inputs) -> list[RecipeResult]:
    """Predicted and measured losses of the plan and its baselines; empty without a plan."""
    if inputs.plan is None:
        return []
    return recipe_results(
        inputs.plan, fit=inputs.fit, comparison=inputs.comparison, models=inputs.finals
    )


def with_more_seeds(
    comparison: pd.DataFrame | None, seeds: pd.DataFrame | None
) -> pd.DataFrame | None:
    """The table with further seeds, unless it is left over from another plan or other models."""
    if comparison is None or seeds is None:
        return comparison
    keys = [name for name in KEYS if name in comparison and name in seeds]
    both = comparison.merge(seeds, on=keys, suffixes=("", "_too"))
    same = len(both) == len(comparison) and bool((both["loss"] == both["loss_too"]).all())
    return seeds if same else comparison


SEEDS = "final/seeds.csv"
"""The comparison over more seeds, where `snakemake seeds` has made it."""

KEYS = ("strategy", "seed", "size", "budget", "domain", "pretrain_tokens", "specialize_tokens")

COLUMNS = {
    "losses": REQUIRED,
    "comparison": ("strategy", "seed", "domain", "params", "pretrain_tokens", "loss"),
    "cost": ("stage", "size", "tokens", "tokens_independent"),
    "benchmarks": ("strategy", "system", "task", "metric", "value"),
}
"""Columns that a report cannot do without."""


def _read_table(path: Path, part: str) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        table = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as cause:
        raise UserError(f"{path}: cannot be read as CSV ({cause}); write it again") from None
    lost = [column for column in COLUMNS[part] if column not in table]
    if lost:
        raise UserError(f"{path}: column {', '.join(lost)} is missing; write the table again")
    return table if len(table) else None


def _read_plan(path: Path) -> Json | None:
    if not path.exists():
        return None
    plan = read_json(path)
    needed = ("flops", "params", "pretrain_tokens", "specialize_tokens", "predicted_loss")
    lost = [key for key in needed if key not in plan]
    if lost:
        raise UserError(f"{path}: is no plan, {lost[0]} is missing; write it with choose_split.py")
    return plan


def _by_folder(files: Any) -> dict[str, Json]:
    return {file.parent.name: read_json(file) for file in sorted(files)}
