"""The runs of one size that the law is fitted to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from splitlaw.experiment.grid_settings import CellsConfig, GridConfig, UniqueTokensConfig
from splitlaw.experiment.lineage import GENERAL, Run


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The runs of one size: cells of D and D' for every domain, and the unsplit runs."""

    batch_tokens: int
    """Tokens in a step."""
    cells: tuple[tuple[int, int], ...]
    """Steps of trunk and branch of every branch, the same for each domain."""
    unsplit: tuple[int, ...]
    """Totals in steps of the runs on general text alone."""
    replay: tuple[float, ...] = (0,)
    """Shares of general text in branches; every cell has a branch with each."""
    repeated: tuple[tuple[int, int, int], ...] = ()
    """(D in steps, D' in steps, unique tokens) of every branch on a part of a domain's text."""
    holdout_cells: tuple[tuple[int, int], ...] = ()
    """Those of `cells` that the law is tested on, in a grid that it is fitted to."""
    holdout_replay: tuple[float, ...] = ()
    """Those of `replay` that the law is tested on, in a grid that it is fitted to."""

    def is_held_out(self, run: Run) -> bool:
        """Whether the law is tested on a run of the grid and not fitted to it."""
        cell = (run.pretrain_steps, run.specialize_steps)
        return cell in self.holdout_cells or run.replay in self.holdout_replay

    def runs(self, domain: str) -> list[Run]:
        """The runs on all text of a domain, or the unsplit ones of `general`."""
        if domain == GENERAL:
            return [
                Run(domain=GENERAL, pretrain_steps=total, specialize_steps=0)
                for total in self.unsplit
            ]
        return [
            Run(
                domain=domain,
                pretrain_steps=pretrain,
                specialize_steps=specialize,
                replay=replay,
            )
            for pretrain, specialize in self.cells
            for replay in self.replay
        ]

    def repeated_runs(self, domain: str) -> list[Run]:
        """The runs on a part of a domain's text; none of `general`."""
        return [
            Run(
                domain=domain,
                pretrain_steps=pretrain,
                specialize_steps=specialize,
                unique_tokens=unique,
            )
            for pretrain, specialize, unique in self.repeated
            if domain != GENERAL
        ]

    def all_runs(self, domain: str) -> list[Run]:
        """The runs on a domain, of both kinds."""
        return self.runs(domain) + self.repeated_runs(domain)


def repeated_part(part: CellsConfig, config: GridConfig) -> CellsConfig:
    """The part of a grid that the seeds of `grid.repeat` train."""
    assert config.repeat is not None
    kept = tuple(sorted(set(part.pretrain_tokens) & set(config.repeat.pretrain_tokens)))
    return CellsConfig(pretrain_tokens=kept, specialize_tokens=part.specialize_tokens)


def make_grid(
    part: CellsConfig,
    config: GridConfig,
    *,
    batch_tokens: int,
    params: int,
    repeated: UniqueTokensConfig | None = None,
) -> Grid:
    """The grid of a size of `params` parameters, with its branches on repeated text.

    Cells of fewer than `grid.min_tokens_per_param` tokens per parameter are left out: such runs are
    far from any power law, and no form fits them. The unsplit runs have the totals of the cells
    that a trunk reaches, and `unsplit_tokens`. Without any cell, the grid is empty.
    """
    least = config.min_tokens_per_param * params

    def long_enough(amounts: CellsConfig | UniqueTokensConfig) -> list[tuple[int, int]]:
        return sorted(
            (round(pretrain / batch_tokens), round(specialize / batch_tokens))
            for pretrain in amounts.pretrain_tokens
            for specialize in amounts.specialize_tokens
            if pretrain + specialize >= least
        )

    cells = long_enough(part)
    totals = {pretrain + specialize for pretrain, specialize in cells}
    totals |= {round(tokens / batch_tokens) for tokens in part.unsplit_tokens}
    longest = round(config.trunk_tokens / batch_tokens)
    unsplit = sorted(total for total in totals if total <= longest)
    return Grid(
        batch_tokens=batch_tokens,
        cells=tuple(cells),
        unsplit=tuple(unsplit),
        replay=config.replay,
        holdout_replay=config.holdout_replay,
        repeated=tuple(
            (pretrain, specialize, unique)
            for part in ([repeated] if repeated else [])
            for unique in part.values
            for pretrain, specialize in long_enough(part)
            if specialize * batch_tokens > unique
        ),
    )


def with_holdout(fit: Grid, holdout: Grid) -> Grid:
    """The grid of a base: the runs of `fit`, and those of `holdout`, which test the law."""
    more = tuple(cell for cell in holdout.cells if cell not in fit.cells)
    cells = tuple(sorted(fit.cells + more))
    return replace(fit, cells=cells, holdout_cells=more)
