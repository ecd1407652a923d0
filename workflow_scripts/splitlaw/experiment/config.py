"""The validated configuration of an experiment, and the runs that it defines.

Configuration flows one way: `config.yaml`, the models here, canonical JSON in a rule's params,
`run.json`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from splitlaw.common.errors import UserError
from splitlaw.experiment import checks, target_defaults
from splitlaw.experiment.base_settings import BASE, FROM_BASE, BaseConfig, with_base
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.domains_settings import ChooseDomainsConfig
from splitlaw.experiment.grid import Grid, make_grid, repeated_part, with_holdout
from splitlaw.experiment.grid_settings import GridConfig, UniqueTokensConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.section import Distinct, Settings, load_config
from splitlaw.experiment.settings import (
    BenchmarksConfig,
    EvaluationConfig,
    ExecutionConfig,
    ExecutionSection,
    FinalConfig,
    LawConfig,
    ModelConfig,
    SizeConfig,
    TokenizerConfig,
    TrainingConfig,
)
from splitlaw.experiment.shape import BaseShape, Shape
from splitlaw.experiment.strategies import REPLAY_STRATEGIES, STRATEGIES
from splitlaw.experiment.target_settings import (
    CompareConfig,
    FrontierConfig,
    LearningRateConfig,
    ScarcityConfig,
)

SizeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class RunsConfig(Settings):
    """The sections that determine which models are trained, how, and where."""

    # The docstrings of sections describe them; other fields have docstrings of their own.
    tokenizer: TokenizerConfig
    model: ModelConfig
    base: BaseConfig | None = None
    """A model that exists and takes the place of the trunk: all runs continue from it. It
    determines the tokenizer and the only size, which is called `base`: the sections `tokenizer`,
    `sizes` and `holdout_sizes` are left out."""
    sizes: Annotated[Mapping[SizeName, SizeConfig], Field(min_length=1)]
    """Shape of each size of model, by its name; two or more, and none with a base."""
    holdout_sizes: Distinct[str]
    """Sizes that the law is not fitted to; they measure its error in extrapolation."""
    grid: GridConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    final: FinalConfig
    execution: ExecutionSection = ExecutionSection()

    _written: Mapping[str, Any] | None = PrivateAttr(default=None)

    @classmethod
    def read(
        cls, content: Mapping[str, Any], *, where: str = "config.yaml", section: str = ""
    ) -> Self:
        """Validate `content`, and keep it for `as_written`."""
        content = with_base(content, where=where)
        config = super().read(content, where=where, section=section)
        config._written = copy.deepcopy(content)
        return config

    def as_written(self, *sections: str) -> dict[str, Any]:
        """Sections as written in the file, without defaults; absent sections are left out.

        Results are identified by these, so that a default which a later version adds changes none.
        """
        assert self._written is not None, "not made by `read`"
        return {key: self._written[key] for key in sections if key in self._written}

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains in the order of the configuration."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _check_runs(self) -> Self:
        checks.check_shapes({name: self.shape_of(name) for name in self.sizes})
        checks.check_several_sizes("sizes", self.sizes, self.base)
        checks.check_size_names("holdout_sizes", self.holdout_sizes, self.sizes)
        checks.check_size_names("final.size", [self.final.size], self.sizes)
        checks.check_size_names("execution.by_size", self.execution.by_size, self.sizes)
        checks.check_grid(self.grid, used=map(self.split_of, self.sizes))
        checks.check_steps(
            self.grid, self.training.batch_tokens, used=map(self.split_of, self.sizes)
        )
        checks.check_repeat(self.grid)
        checks.check_final_replay(self.final, self.grid, self.domain_names)
        checks.check_unique_tokens(
            self.grid, self.final, self.training.batch_tokens, self.sizes, self.domain_names
        )
        for size in self.sizes:
            for seed in self.grid.all_seeds:
                self.grid_of(size, seed)
        checks.check_batch(self.training.batch_tokens, self.model.context)
        checks.check_base(self.base, self.model.context, self.grid)
        if self.plans_replay:
            checks.check_plan_with_replay(self.final)
        fit = {size: self.grid_of(size) for size in self.sizes if self.split_of(size) == "fit"}
        checks.check_adaptive(self.grid, self.training, fit, self.domain_names)
        return self

    @property
    def plans_replay(self) -> bool:
        """Whether the plan has a base or a limit on general loss, and thus shares of replay."""
        return self.base is not None or self.final.max_general_loss_rise is not None

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies of the final models: others with a base or a limit on general loss."""
        return REPLAY_STRATEGIES if self.plans_replay else STRATEGIES

    @property
    def final_replay(self) -> dict[str, float]:
        """Share of replay by domain in the final models; empty where there is none."""
        given = self.final.replay
        shares = given if isinstance(given, Mapping) else dict.fromkeys(self.domain_names, given)
        return {domain: float(share) for domain, share in shares.items() if share}

    @property
    def base_tokens(self) -> int:
        """Tokens of the base; 0 where they are unknown, and without a base."""
        known = self.base.pretrain_tokens if self.base else 0
        return known if isinstance(known, int) else 0

    def shape_of(self, size: str) -> Shape | BaseShape:
        """The shape of a size; raises `ValueError` where the shape is impossible."""
        if self.base is not None:
            assert self.base.model is not None, "not made by `read`"
            left_out = {"heads", "intermediate", "longest_context"}
            counted = self.base.model.model_dump(exclude=left_out)
            return BaseShape(context=self.model.context, **counted)
        try:
            return Shape(
                vocabulary=self.tokenizer.vocabulary,
                context=self.model.context,
                **self.sizes[size].model_dump(),
            )
        except UserError as cause:
            raise ValueError(f"sizes.{size}: {cause}") from None

    def split_of(self, size: str) -> Literal["fit", "holdout"]:
        """Whether the law is fitted to rows of a size (`fit`) or tested on them (`holdout`)."""
        return "holdout" if size in self.holdout_sizes else "fit"

    def grid_of(self, size: str, seed: int | None = None) -> Grid:
        """The grid of a size; a seed of `grid.repeat` has only a part of it.

        Raises `ValueError` if every cell is too short, which validation reports.
        """
        part = self.grid.fit if self.split_of(size) == "fit" else self.grid.holdout
        repeated = _unique_tokens_of(self, size)
        if self.grid.repeat and seed in self.grid.repeat.seeds:
            part, repeated = repeated_part(part, self.grid), None
        # A base has been trained already: no run that continues from it is too short.
        params = 0 if self.base else self.shape_of(size).params
        batch = self.training.batch_tokens
        grid = make_grid(part, self.grid, batch_tokens=batch, params=params, repeated=repeated)
        if self.base:
            more = make_grid(self.grid.holdout, self.grid, batch_tokens=batch, params=params)
            grid = with_holdout(grid, more)
        if not grid.cells:
            raise ValueError(
                f"grid: no cell of size {size} has "
                f"{self.grid.min_tokens_per_param * params / 1e6:.2f}M tokens, which is "
                "grid.min_tokens_per_param times its parameters; add larger ones"
            )
        return grid

    def execution_of(self, size: str | None = None) -> ExecutionConfig:
        """Execution of runs of `size`; without a size, of those that `by_size` does not name."""
        return self.execution.of(size)

    def required_tokens(self, domain: str) -> int:
        """Training tokens of a domain that the longest run reads without repeating any.

        Where text may be repeated, it is the largest part of it that is to be repeated; 0 without.
        """
        longest = 0
        for size in self.sizes:
            grid = self.grid_of(size)
            if domain == GENERAL:
                most = max(grid.replay)
                steps = [*grid.unsplit, *(math.ceil(d + most * s) for d, s in grid.cells)]
            else:
                steps = [math.ceil((1 - min(grid.replay)) * s) for _, s in grid.cells]
            if not self.execution_of(size).repeat:
                longest = max(longest, *steps)
        parts = self.grid.unique_tokens.values if self.grid.unique_tokens else ()
        limits = [*parts, self.final.limits(self.domain_names).get(domain, 0)]
        return max(longest * self.training.batch_tokens, *(limits if domain != GENERAL else [0]))


def _unique_tokens_of(config: RunsConfig, size: str) -> UniqueTokensConfig | None:
    """The branches on repeated text of a size, if it has any."""
    unique = config.grid.unique_tokens
    if unique is None:
        return None
    trained = size in unique.sizes if unique.sizes else config.split_of(size) == "fit"
    return unique if trained else None


class ForecastConfig(RunsConfig):
    """The part of a configuration that a forecast and a calibration depend on."""

    corpus: Mapping[Literal["domains"], Mapping[str, None]]
    """The names of the domains, without their sources."""

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains in the order of the configuration."""
        return tuple(self.corpus["domains"])


class ExperimentConfig(RunsConfig):
    """One experiment."""

    experiment: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """Name of the experiment; its results are in results/NAME."""
    corpus: CorpusConfig
    law: LawConfig
    benchmarks: BenchmarksConfig
    tune_learning_rate: LearningRateConfig = Field(default={}, validate_default=True)
    compare: CompareConfig = Field(default={}, validate_default=True)
    frontier: FrontierConfig = Field(default={}, validate_default=True)
    scarcity: ScarcityConfig = Field(default={}, validate_default=True)
    choose_domains: ChooseDomainsConfig = Field(default={}, validate_default=True)

    @field_validator(*target_defaults.DEFAULTS, mode="before")
    @classmethod
    def _complete(cls, value: Any, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        return target_defaults.complete(info.field_name, value, info.data)

    @model_validator(mode="after")
    def _check_targets(self) -> Self:
        sweep = self.tune_learning_rate
        checks.check_size_names("compare.sizes", self.compare.sizes, self.sizes)
        checks.check_scarcity(self.scarcity, self.sizes, self.training.batch_tokens)
        checks.check_size_names("frontier.size", [self.frontier.size], self.sizes)
        checks.check_size_names("choose_domains.size", [self.choose_domains.size], self.sizes)
        checks.check_size_names("tune_learning_rate.sizes", sweep.sizes, self.sizes)
        checks.check_several_sizes("tune_learning_rate.sizes", sweep.sizes, self.base)
        checks.check_draws(self.grid, self.law)
        sections = ("final", "frontier", "scarcity", "choose_domains")
        budgets = {f"{key}.budget_tokens": [getattr(self, key).budget_tokens] for key in sections}
        budgets["compare.budgets"] = list(self.compare.budgets)
        budgets["tune_learning_rate.tokens"] = [sweep.tokens]
        checks.check_budgets(budgets, self.training.batch_tokens)
        return self

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains in the order of the configuration, given or to be discovered."""
        return self.corpus.domain_names


REQUIRED = tuple(k for k, field in ExperimentConfig.model_fields.items() if field.is_required())
"""The sections of a complete configuration."""


def is_complete(content: Mapping[str, Any]) -> bool:
    """Whether a configuration has every section, so that it needs no other file."""
    given = (*content, *(FROM_BASE if content.get(BASE) is not None else ()))
    return all(key in given for key in REQUIRED)


def load_runs(source: str) -> RunsConfig:
    """Load a configuration, or the part that a forecast depends on, from inline JSON or a file."""
    whole = "experiment" in load_config(source)
    return (ExperimentConfig if whole else ForecastConfig).load(source)
