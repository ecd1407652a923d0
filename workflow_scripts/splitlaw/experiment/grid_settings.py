"""The section `grid` of the configuration: the runs that the law is fitted to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from splitlaw.experiment.section import (
    Distinct,
    Natural,
    Number,
    Positive,
    Seeds,
    Settings,
    Share,
)


class CellsConfig(Settings):
    """Runs of a size: every D with every D', in tokens."""

    pretrain_tokens: Annotated[Distinct[Natural], Field(min_length=1)]
    """Values of D, in tokens; 0 trains from scratch."""
    specialize_tokens: Annotated[Distinct[Positive], Field(min_length=1)]
    """Values of D', in tokens."""
    unsplit_tokens: Distinct[Positive] = ()
    """Tokens of unsplit runs, in addition to the totals D + D' of the cells."""


class RepeatConfig(Settings):
    """Additional seeds that train a part of the grid."""

    seeds: Seeds
    """Seeds that are not among `grid.seeds`."""
    pretrain_tokens: Annotated[Distinct[Natural], Field(min_length=1)]
    """Values of D that these seeds train, in tokens, with every D' and the unsplit runs of the same
    totals."""


class UniqueTokensConfig(Settings):
    """Branches that read only the beginning of a domain's training text, several times.

    They measure what repeated text is worth, so that plans for scarce text do not extrapolate.
    """

    values: Annotated[Distinct[Positive], Field(min_length=1)]
    """Unique tokens. The text of a smaller number is part of the text of a larger one."""
    pretrain_tokens: Annotated[Distinct[Natural], Field(min_length=1)]
    """Values of D, in tokens."""
    specialize_tokens: Annotated[Distinct[Positive], Field(min_length=1)]
    """Values of D', in tokens. A branch whose D' is at most the number of unique tokens repeats no
    text and is left out."""
    sizes: Distinct[str] = ()
    """Names of the sizes with such branches; by default all sizes that the law is fitted to."""


class AdaptiveConfig(Settings):
    """Rounds of runs, each chosen by the law that is fitted to those before.

    The runs of the sizes that the law is fitted to are then a pool: round 0 trains a start of them,
    and every further round those that would reduce the expected regret of the plan for `final` most
    per FLOP.
    """

    start: Positive
    """Number of branches of each domain in round 0, and of unsplit runs. They include every size, D
    and D' that the domain has in the grid."""
    rounds: Positive
    """Largest number of rounds after round 0."""
    runs: Positive | None = None
    """Runs of a round; by default one for each domain."""
    stop_regret: Annotated[Number, Field(ge=0, lt=1)]
    """No run is chosen when the expected regret of the plan, relative to its predicted mean loss,
    is at most this."""
    max_tokens: Positive | None = None
    """Largest number of tokens of all rounds; by default there is no limit. A trunk that several
    runs share counts once. Runs of `holdout_sizes` are not counted."""


class GridConfig(Settings):
    """The runs that the law is fitted to."""

    trunk_tokens: Positive
    """Tokens of the longest general run of every size."""
    min_tokens_per_param: Annotated[Number, Field(ge=0)]
    """Cells with fewer tokens D + D' per parameter are left out."""
    seeds: Seeds
    """Seeds of initialisation and data order that train the whole grid."""
    fit: CellsConfig
    """Runs of the sizes that the law is fitted to."""
    holdout: CellsConfig
    """Runs of `holdout_sizes`, with the same keys as `fit`. With a base, further runs, which the
    law is not fitted to; they test it."""
    replay: Annotated[Distinct[Share], Field(min_length=1)] = (0,)
    """Shares of general text in the batches of the branches. Every cell has a branch with each
    share, of the same number of tokens. If a share is above 0, the loss of every branch on general
    text is added to the table."""
    holdout_replay: Distinct[Share] = ()
    """Shares among those of `replay` whose branches the law is not fitted to; they test it."""
    unique_tokens: UniqueTokensConfig | None = None
    """Branches on repeated text, for every seed of `seeds`; by default none."""
    repeat: RepeatConfig | None = None
    """Additional seeds that train a part of the grid; by default none."""
    adaptive: AdaptiveConfig | None = None
    """Train only the runs that the plan requires, in rounds; by default the whole grid is
    trained."""

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds of the grid, those that repeat a part of it last."""
        return (*self.seeds, *(self.repeat.seeds if self.repeat else ()))
