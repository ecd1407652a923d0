"""The inputs of a report: all files of an experiment that exist, and a sentence for each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.common.result_table import read_result_table
from splitlaw.experiment.columns import FIT, NEXT_RUNS
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws import FitResult
from splitlaw.laws.read import REQUIRED
from splitlaw.stages.final_results import FinalModel, Json, models_in_comparison, read_final_models
from splitlaw.stages.loss_to_task import read_scores
from splitlaw.stages.recipe_results import RecipeResult, recipe_results
from splitlaw.stages.round_record import Round, read_rounds

FILES = {
    "losses": ("losses.csv", "splitlaw run evaluate"),
    "fit": ("law/fit.json", "splitlaw run fit_law"),
    "plan": ("split/plan.json", "splitlaw run choose_split"),
    "comparison": ("final/comparison.csv", "splitlaw run train_final"),
    "cost": ("cost.csv", "splitlaw run evaluate"),
    "next_runs": ("law/next_runs.csv", "splitlaw run next_runs"),
    "benchmarks": ("benchmarks.csv", "splitlaw run benchmark"),
    "benchmark_gains": ("benchmark_gains.csv", "splitlaw run benchmark"),
    "delivery": ("delivery/comparison.csv", "splitlaw run delivery"),
}
"""File of each part within the results, and the command that makes it."""

TABLE_FIT = "fit.json"
"""The fit beside the report of a table of losses that has no experiment."""

MISSING = {
    "losses": "The table of losses is missing, so figures of the grid are not shown",
    "fit": "There is no fitted law yet, so predictions are not shown",
    "plan": "There is no plan yet, so no split is recommended",
    "comparison": "There are no final models yet, so the plan has not been tested",
}
"""Consequence of each missing part that a complete report requires."""


PREDICTED = ("predicted", "low", "high")
"""Columns of the predicted loss of a new run and the ends of its 90% interval."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The parts of an experiment; missing parts are None or empty."""

    folder: Path
    """Folder of the experiment's results."""
    table: Path | None = None
    """The table of losses of a report that has no experiment."""
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
    next_runs: pd.DataFrame | None = None
    """`law/next_runs.csv`, unless the law was fitted again after it was written."""
    benchmarks: pd.DataFrame | None = None
    """`benchmarks.csv`."""
    benchmark_gains: pd.DataFrame | None = None
    """`benchmark_gains.csv`."""
    rounds: tuple[Round, ...] = ()
    """The rounds of an adaptive grid."""
    delivery: pd.DataFrame | None = None
    """`delivery/comparison.csv`."""
    cards: Mapping[str, Json] = field(default_factory=dict)
    """Corpus cards by domain."""
    tokens: Mapping[str, Json] = field(default_factory=dict)
    """Sidecars of the token files by domain."""
    finals: tuple[FinalModel, ...] = ()
    """The final models of `comparison`."""

    @property
    def name(self) -> str:
        """Name of the experiment or of the table."""
        return self.folder.resolve().name if self.table is None else self.table.name

    @property
    def missing(self) -> list[str]:
        """A sentence for each missing part, with the command that makes it."""
        if self.table is not None:
            return []
        return [
            f"{consequence}. To make {FILES[part][0]}, run: {FILES[part][1]}."
            for part, consequence in MISSING.items()
            if getattr(self, part) is None
        ]

    @property
    def domains(self) -> list[str]:
        """The domains in the order of all figures and tables."""
        if self.plan is not None:
            return list(self.plan["specialize_tokens"])
        if self.fit is not None:
            return list(self.fit.domains)
        assert self.rows is not None
        return sorted(self.rows["domain"].unique())

    @property
    def sizes(self) -> dict[str, float]:
        """Parameters of the sizes in the table of losses, by name."""
        if self.losses is None or "size" not in self.losses:
            return {}
        return {str(k): float(v) for k, v in self.losses.groupby("size")["params"].first().items()}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Scores of tasks with the held-out losses of all final models, those of cells included."""
        return read_scores(self.folder, self.benchmarks)

    @cached_property
    def rows(self) -> pd.DataFrame | None:
        """The losses that the law predicts, with the columns of `PREDICTED`, NaN without a fit."""
        if self.losses is None:
            return None
        rows = law_rows(self.losses)
        if self.fit is None:
            return rows.assign(**dict.fromkeys(PREDICTED, float("nan")))
        rows = rows[rows["domain"].isin(self.fit.domains)].reset_index(drop=True)
        return with_predictions(rows, self.fit)


def with_predictions(rows: pd.DataFrame, fit: FitResult) -> pd.DataFrame:
    """Add the loss that the law predicts for a new run, and its 90% interval."""
    predictions = fit.predict(rows)
    names = dict(zip(PREDICTED, ("loss", "loss_low", "loss_high"), strict=True))
    return rows.assign(**{name: predictions[column] for name, column in names.items()})


def final_rows(inputs: Inputs) -> pd.DataFrame:
    """Losses of the final models that the law predicted, with the columns of `PREDICTED`.

    `predicted` is the prediction of the plan; the interval is that of a new run around it.
    """
    table, fit = inputs.comparison, inputs.fit
    if table is None or fit is None or "predicted_loss" not in table:
        return pd.DataFrame(columns=["loss", *PREDICTED, "domain"])
    known = table["predicted_loss"].notna() & table["domain"].isin(inputs.domains)
    rows = table[known & table["domain"].isin(fit.domains)]
    if rows.empty:
        return rows.assign(**dict.fromkeys(PREDICTED, float("nan")))
    rows = with_predictions(rows, fit)
    shift = rows["predicted_loss"] / rows["predicted"]
    return rows.assign(**{name: rows[name] * shift for name in PREDICTED})


def law_rows(losses: pd.DataFrame) -> pd.DataFrame:
    """Rows of models on their own domain and of unsplit models, with `size` and `split`.

    In a table without these two columns, sizes are named by their parameters and all rows count as
    fitted.
    """
    table = losses.assign(domain=losses["domain"].astype(str).str.strip())
    keep = table["pretrain_tokens"] + table["specialize_tokens"] > 0
    if (table["domain"] != GENERAL).any():
        keep &= table["domain"] != GENERAL
    if "train_domain" in table:
        trained = table["train_domain"].fillna("").astype(str).str.strip()
        own = (trained == "") | (trained == table["domain"])
        keep &= own | (table["specialize_tokens"] == 0)
    table = table[keep].reset_index(drop=True)
    if "size" not in table:
        table["size"] = [f"{n:,.0f}" for n in table["params"]]
    if "split" not in table:
        table["split"] = FIT
    return table.sort_values("params", kind="stable", ignore_index=True)


def read_inputs(folder: Path) -> Inputs:
    """Read an experiment's results.

    Raises `UserError` where there is neither a table of losses nor a fit.
    """
    paths = {part: folder / file for part, (file, _) in FILES.items()}
    if not any(paths[part].exists() for part in ("losses", "fit")):
        raise UserError(
            f"{folder}: has neither losses.csv nor law/fit.json; name the results of an experiment"
        )
    tables = {name: _read_table(paths[name], name) for name in COLUMNS}
    if tables["next_runs"] is not None and not _is_newer(paths["next_runs"], paths["fit"]):
        tables["next_runs"] = None
    seeds = _read_table(folder / SEEDS, "comparison")
    tables["comparison"] = with_more_seeds(tables["comparison"], seeds)
    return Inputs(
        folder=folder,
        fit=FitResult.load(paths["fit"]) if paths["fit"].exists() else None,
        plan=_read_plan(paths["plan"]),
        cards=_by_folder(folder.glob("corpus/*/card.json")),
        tokens=_by_folder(folder.glob("tokens/*/tokens.json")),
        rounds=read_rounds(folder / "rounds"),
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
    """Return `seeds`, the table with more seeds, if it contains the rows of `comparison`.

    Otherwise it is from an earlier plan or from earlier models, and `comparison` is returned.
    """
    if comparison is None or seeds is None:
        return comparison
    keys = [name for name in KEYS if name in comparison and name in seeds]
    both = comparison.merge(seeds, on=keys, suffixes=("", "_too"))
    same = len(both) == len(comparison) and bool((both["loss"] == both["loss_too"]).all())
    return seeds if same else comparison


SEEDS = "final/seeds.csv"
"""The comparison over more seeds, made by `splitlaw run seeds`."""

KEYS = ("strategy", "seed", "size", "budget", "domain", "pretrain_tokens", "specialize_tokens")

COLUMNS = {
    "losses": REQUIRED,
    "comparison": ("strategy", "seed", "domain", "params", "pretrain_tokens", "loss"),
    "cost": ("stage", "size", "tokens", "tokens_independent"),
    "next_runs": tuple(NEXT_RUNS),
    "benchmarks": ("strategy", "system", "task", "metric", "value"),
    "benchmark_gains": ("strategy", "system", "against", "task", "metric", "stderr"),
    "delivery": ("system", "domain", "loss", "params_stored", "params_active"),
}
"""Columns that a report requires."""


def _read_table(path: Path, part: str) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        table = read_result_table(path)
    except (ValueError, pd.errors.ParserError) as cause:
        raise UserError(f"{path}: cannot be read as CSV ({cause}); write it again") from None
    lost = [column for column in COLUMNS[part] if column not in table]
    if lost:
        raise UserError(f"{path}: column {', '.join(lost)} is missing; write the table again")
    return table if len(table) else None


def _is_newer(path: Path, than: Path) -> bool:
    return not than.exists() or path.stat().st_mtime >= than.stat().st_mtime


def _read_plan(path: Path) -> Json | None:
    if not path.exists():
        return None
    plan = read_json(path)
    required = ("flops", "params", "pretrain_tokens", "specialize_tokens", "predicted_loss")
    lost = [key for key in required if key not in plan]
    if lost:
        raise UserError(f"{path}: is not a plan ({lost[0]} is missing); write it with choose_split")
    return plan


def _by_folder(files: Any) -> dict[str, Json]:
    return {file.parent.name: read_json(file) for file in sorted(files)}
