"""The sections of the targets that the main workflow does not have."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from splitlaw.experiment.section import (
    Distinct,
    Fraction,
    Number,
    Positive,
    Seeds,
    Settings,
)

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
"""General fractions of the target `frontier`: closer together where optimal splits usually are."""

SCARCITY_FRACTIONS = (0.25, 0.5, 0.7, 0.8, 0.9)
"""General fractions of the target `scarcity`: the scarcer the text, the higher is the best one. Two
of them are those of baselines, whose models are not trained again."""


class Completed(Settings):
    """A section whose missing keys `ExperimentConfig` takes from other sections."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))


class CompareConfig(Completed):
    """Runs of the target `compare`: the optimal split and the baselines at several sizes."""

    sizes: Annotated[Distinct[str], Field(min_length=1)]
    """Names of sizes; by default `final.size`."""
    budgets: Annotated[Distinct[Positive], Field(min_length=1)]
    """Tokens of a strategy; by default `final.budget_tokens`."""
    seeds: Seeds
    """Seeds of initialisation and data order; by default `final.seeds`."""


class FrontierConfig(Completed):
    """Runs of the target `frontier`: one budget split at several general fractions."""

    size: str
    """Name of the size; by default `final.size`."""
    budget_tokens: Positive
    """Tokens of each split; by default `final.budget_tokens`."""
    fractions: Annotated[Distinct[Fraction], Field(min_length=7)] = FRACTIONS
    """General fractions to train at in addition to that of the plan."""
    seeds: Seeds
    """Seeds of initialisation and data order; by default `final.seeds`."""


class ScarcityConfig(Completed):
    """Runs of the target `scarcity`: the plan and the baselines on less and less domain text."""

    sizes: Annotated[Distinct[str], Field(min_length=1)]
    """Names of sizes; by default `final.size`."""
    budget_tokens: Positive
    """Tokens of a strategy; by default `final.budget_tokens`."""
    unique_tokens: Annotated[Distinct[Positive], Field(min_length=1)]
    """Limits on the unique tokens of every domain, in addition to no limit; by default the values
    of `grid.unique_tokens`."""
    frontier: Distinct[Positive] = ()
    """Values of `unique_tokens` at which other general fractions are also trained; by default
    none."""
    fractions: Annotated[Distinct[Fraction], Field(min_length=3)] = SCARCITY_FRACTIONS
    """General fractions to train at the values of `frontier`, with the same tokens for every
    domain. The fractions 0 and 1 are not needed: they are baselines."""
    seeds: Seeds
    """Seeds of initialisation and data order; by default `final.seeds`."""


class LearningRateConfig(Completed):
    """Runs of the target `tune_learning_rate`, which finds the learning rate for a text."""

    sizes: Annotated[Distinct[str], Field(min_length=1)]
    """Names of two sizes or more; by default those that are not in `holdout_sizes`."""
    rates: Annotated[Distinct[Annotated[Number, Field(gt=0)]], Field(min_length=3)]
    """Peak learning rates that every size is trained at; by default a quarter to four times
    `training.learning_rate`."""
    tokens: Positive
    """General tokens of each run; by default the largest of `grid.fit.pretrain_tokens`."""
