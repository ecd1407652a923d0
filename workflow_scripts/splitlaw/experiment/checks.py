"""Checks that involve several sections of the configuration.

Each raises `ValueError` with the full keys, the problem and the remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from splitlaw.experiment.base_settings import BaseConfig
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.grid_settings import GridConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.settings import FinalConfig, LawConfig, TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape
from splitlaw.experiment.start import design_steps, least_start, start_design
from splitlaw.experiment.target_settings import ScarcityConfig

LEAST_DRAWS = 20
"""Draws of the law below which expected regrets say little: their standard error is then more than
a fifth of the spread of the draws."""


def check_several_sizes(key: str, sizes: Collection[str], base: BaseConfig | None) -> None:
    """Refuse a single size that is not a base: it determines no power of N."""
    if base is None and len(sizes) < 2:
        raise ValueError(f"{key} has {len(sizes)} value; give at least 2")


def check_base(base: BaseConfig | None, context: int, grid: GridConfig) -> None:
    """Refuse a base that does not fit the context or the grid, and shares that are not replayed."""
    for share in grid.holdout_replay:
        if share not in grid.replay:
            known = ", ".join(map(str, grid.replay))
            raise ValueError(f"grid.holdout_replay has {share}, but grid.replay has {known}")
    if base is None or base.model is None:
        return
    longest = base.model.longest_context
    if longest is not None and context > longest:
        raise ValueError(
            f"model.context is {context}, but the base takes at most {longest} tokens; lower it"
        )
    if grid.adaptive is not None:
        raise ValueError("grid.adaptive: chooses no runs of a base; remove it")


def check_shapes(shapes: Mapping[str, Shape | BaseShape]) -> None:
    """Refuse two sizes of the same shape."""
    seen: dict[Shape | BaseShape, str] = {}
    for name, shape in shapes.items():
        if shape in seen:
            raise ValueError(
                f"sizes.{name} repeats sizes.{seen[shape]}; change or remove one of them"
            )
        seen[shape] = name


def check_size_names(key: str, names: Iterable[str], sizes: Iterable[str]) -> None:
    """Refuse a size that is not one of `sizes`."""
    known = list(sizes)
    for name in names:
        if name not in known:
            raise ValueError(f"{key} names {name}; the sizes are {', '.join(known)}")


def check_grid(grid: GridConfig, *, used: Iterable[str]) -> None:
    """Refuse runs that are longer than the trunk, in those of `fit` and `holdout` that are used."""
    for key in sorted(set(used)):
        part = grid.fit if key == "fit" else grid.holdout
        for column in ("pretrain_tokens", "unsplit_tokens"):
            longest = max(getattr(part, column), default=0)
            if longest > grid.trunk_tokens:
                raise ValueError(
                    f"grid.{key}.{column} has {longest}, beyond grid.trunk_tokens, which is "
                    f"{grid.trunk_tokens}; lower the first or raise the second"
                )


def check_steps(grid: GridConfig, batch_tokens: int, *, used: Iterable[str]) -> None:
    """Refuse amounts of tokens that are no step, or the same number of steps as another amount."""
    parts: dict[str, Any] = {key: getattr(grid, key) for key in sorted(set(used))}
    parts |= {"unique_tokens": grid.unique_tokens} if grid.unique_tokens else {}
    for key, part in parts.items():
        for column in ("pretrain_tokens", "specialize_tokens", "unsplit_tokens"):
            seen: dict[int, int] = {}
            for tokens in getattr(part, column, ()):
                steps = round(tokens / batch_tokens)
                if tokens and not steps:
                    raise ValueError(
                        f"grid.{key}.{column} has {tokens}, less than half of "
                        f"training.batch_tokens, which is {batch_tokens}; give more"
                    )
                if steps in seen:
                    raise ValueError(
                        f"grid.{key}.{column} has {seen[steps]} and {tokens}, which are the same "
                        f"number of steps of {batch_tokens} tokens; remove one of them"
                    )
                seen[steps] = tokens


def check_budgets(budgets: Mapping[str, Iterable[int]], batch_tokens: int) -> None:
    """Refuse amounts of tokens, by their keys, below one batch."""
    for key, numbers in budgets.items():
        for number in numbers:
            _check_one_batch(key, number, batch_tokens)


def check_final_replay(final: FinalConfig, grid: GridConfig, domains: Collection[str]) -> None:
    """Refuse a share for a name that is no domain, and a limit or its confidence by itself."""
    if final.max_general_loss_rise is None and "limit_confidence" in final.model_fields_set:
        raise ValueError(
            "final.limit_confidence: there is no limit; give final.max_general_loss_rise, or "
            "remove it"
        )
    if final.max_general_loss_rise is not None and not any(grid.replay):
        raise ValueError(
            "final.max_general_loss_rise: the plan keeps it by replay, which the grid has not "
            "measured; give grid.replay shares above 0"
        )
    named = final.replay if isinstance(final.replay, Mapping) else {}
    for name in named:
        if name not in domains:
            raise ValueError(f"final.replay names {name}; the domains are {', '.join(domains)}")


def check_plan_with_replay(final: FinalConfig) -> None:
    """Refuse limits of text beside a base or a limit on general loss, which the page ignores."""
    if final.unique_tokens is not None:
        raise ValueError(
            "final.unique_tokens: the page of a plan with a base or with a limit on general loss "
            "counts no repeated text; remove it, and use the target scarcity"
        )


def check_repeat(grid: GridConfig) -> None:
    """Refuse repeated seeds of the grid, and a repeated D that the grid does not have."""
    if grid.repeat is None:
        return
    for seed in set(grid.repeat.seeds) & set(grid.seeds):
        raise ValueError(
            f"grid.repeat.seeds has {seed}, which grid.seeds has too; give another seed"
        )
    for key, part in (("fit", grid.fit), ("holdout", grid.holdout)):
        if not set(grid.repeat.pretrain_tokens) <= set(part.pretrain_tokens):
            known = ", ".join(map(str, part.pretrain_tokens))
            raise ValueError(
                f"grid.repeat.pretrain_tokens has a value that grid.{key}.pretrain_tokens lacks; "
                f"choose among {known}"
            )


def check_unique_tokens(
    grid: GridConfig,
    final: FinalConfig,
    batch_tokens: int,
    sizes: Iterable[str],
    domains: Sequence[str],
) -> None:
    """Refuse limits of unique tokens below one batch, and those of an unknown size or domain."""
    limits = final.limits(domains)
    given = [(f"final.unique_tokens of {name}", number) for name, number in limits.items()]
    if grid.unique_tokens is not None:
        check_size_names("grid.unique_tokens.sizes", grid.unique_tokens.sizes, sizes)
        given += [("grid.unique_tokens.values", number) for number in grid.unique_tokens.values]
        longest = max(grid.unique_tokens.pretrain_tokens)
        if longest > grid.trunk_tokens:
            raise ValueError(
                f"grid.unique_tokens.pretrain_tokens has {longest}, beyond grid.trunk_tokens, "
                f"which is {grid.trunk_tokens}; lower the first or raise the second"
            )
    for key, number in given:
        _check_one_batch(key, number, batch_tokens)
    for name in limits:
        if name not in domains:
            raise ValueError(
                f"final.unique_tokens names {name}; the domains are {', '.join(domains)}"
            )


def check_scarcity(config: ScarcityConfig, sizes: Iterable[str], batch_tokens: int) -> None:
    """Refuse unknown sizes, limits below one batch, and a frontier at other limits."""
    check_size_names("scarcity.sizes", config.sizes, sizes)
    for number in config.unique_tokens:
        _check_one_batch("scarcity.unique_tokens", number, batch_tokens)
    for number in config.frontier:
        if number not in config.unique_tokens:
            known = ", ".join(map(str, config.unique_tokens))
            raise ValueError(
                f"scarcity.frontier has {number}, which is not in scarcity.unique_tokens: {known}"
            )


def _check_one_batch(key: str, number: int, batch_tokens: int) -> None:
    if number < batch_tokens:
        raise ValueError(
            f"{key}: {number} tokens are fewer than one batch, training.batch_tokens "
            f"{batch_tokens}; give at least that many"
        )


def check_adaptive(
    grid: GridConfig, training: TrainingConfig, grids: Mapping[str, Grid], domains: Sequence[str]
) -> None:
    """Refuse a start of an adaptive grid that lacks a size, D or D', or exceeds the tokens.

    `grids` has the grid of every size that the law is fitted to.
    """
    if grid.adaptive is None:
        return
    if any(grid.replay):
        raise ValueError("grid.adaptive: chooses no shares of grid.replay; remove one of the two")
    if not grids:
        raise ValueError("grid.adaptive: all sizes are in holdout_sizes; leave one out of it")
    start, seed, most = grid.adaptive.start, grid.seeds[0], grid.adaptive.max_tokens
    needed = max(least_start(grids, domain=name, seed=seed) for name in domains)
    if start < needed:
        raise ValueError(
            f"grid.adaptive.start is {start}; give at least {needed}, so that every domain starts "
            "with each size, D and D'"
        )
    designs = [
        start_design(grids, domain=name, runs=start, seed=seed) for name in (GENERAL, *domains)
    ]
    repeated = [
        (size, run)
        for name in domains
        for size, each in grids.items()
        for run in each.repeated_runs(name)
    ]
    runs = chain(*designs, repeated)
    tokens = training.batch_tokens * design_steps(runs, training.cooldown_fraction)
    if most is not None and most < tokens:
        raise ValueError(
            f"grid.adaptive.max_tokens is {most}, but the start takes {tokens}; raise it, or lower "
            "grid.adaptive.start"
        )


def check_draws(grid: GridConfig, law: LawConfig) -> None:
    """Refuse an adaptive grid whose law has too few draws to compare runs."""
    if grid.adaptive is None:
        return
    if law.discrepancy == "none":
        raise ValueError(
            "law.discrepancy is none, but an adaptive grid chooses runs by the uncertainty of the "
            "law; give on, or remove grid.adaptive"
        )
    if law.draws < LEAST_DRAWS:
        raise ValueError(
            f"law.draws is {law.draws}; an adaptive grid chooses runs by the draws of the law: "
            f"give at least {LEAST_DRAWS}"
        )


def check_batch(batch_tokens: int, context: int) -> None:
    """Refuse a batch that does not consist of whole sequences."""
    if batch_tokens % context:
        raise ValueError(
            f"training.batch_tokens is {batch_tokens}; give a multiple of model.context, {context}"
        )
