"""Lineages: the training history of a state, and the parts of it that several runs share.

The state of a run after a step is determined by its model and seed and by the data and learning
rates of every step before. Runs with the same history up to a step share that state. A *lineage*
describes the history as a tuple of segments, and states are stored under their lineage. The trunk,
the general cooldowns that the domains share, the constant part that longer branches share, and the
resumption of a killed run are therefore one look-up: the longest stored prefix of a lineage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from splitlaw.common.errors import UserError
from splitlaw.experiment.schedule import cooldown_start

GENERAL = "general"
"""The domain of general text."""
LARGEST_PERIOD = 1000
"""Windows over which a branch has exactly its share of replay: shares have three decimals."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Consecutive steps on one stream under one schedule; it ends before step `stop`."""

    domain: str
    """The stream that the batches are read from."""
    total: int | None
    """Total steps of the run, if the segment is in its cooldown; None at constant rate."""
    stop: int
    """Steps since initialisation at the end of the segment."""
    unique_tokens: int = 0
    """Tokens at the beginning of the stream's text that are read, again and again; 0 for all."""


Lineage = tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True, order=True)
class Run:
    """One cooled-down model: D general steps, then a branch on a domain.

    An unsplit run has the domain `general` and no specialisation steps.
    """

    domain: str
    """The domain it specialises in, or `general`."""
    pretrain_steps: int
    """D in steps."""
    specialize_steps: int
    """Steps of the branch: D' in steps, where no general text is replayed."""
    replay: float = 0.0
    """Share of the branch's windows that are general text, mixed with those of the domain."""
    unique_tokens: int = 0
    """Tokens at the beginning of the domain's text that D' consists of; 0 for all of the text."""

    def __post_init__(self) -> None:
        if self.pretrain_steps < 0 or self.specialize_steps < 0 or not self.total:
            raise UserError(
                f"a run of {self.pretrain_steps} general and {self.specialize_steps} domain steps; "
                "both must be at least 0 and their sum at least 1"
            )
        if (self.domain == GENERAL) != (self.specialize_steps == 0):
            raise UserError(
                f"a run on {self.domain} with {self.specialize_steps} specialisation steps; "
                "runs on general have none, and runs on a domain have at least 1"
            )
        if not 0 <= self.replay < 1 or (self.replay and self.domain == GENERAL):
            raise UserError(
                f"a run on {self.domain} with a replay of {self.replay}; give a share from 0 to "
                "below 1, and 0 on general"
            )
        assert self.unique_tokens == 0 or self.specialize_steps, "general text is not limited"

    @property
    def total(self) -> int:
        """Steps of the trunk and the branch."""
        return self.pretrain_steps + self.specialize_steps

    @property
    def stream(self) -> str:
        """The stream that the branch reads. No domain has such a name: theirs have no hyphen."""
        return f"{self.domain}-replay-{self.replay:g}" if self.replay else self.domain

    @property
    def mixture(self) -> dict[str, int]:
        """Weights of general and domain windows in the branch's stream; empty without replay."""
        if not self.replay:
            return {}
        least = 1 / LARGEST_PERIOD
        within = min(max(self.replay, least), 1 - least)
        share = Fraction(within).limit_denominator(LARGEST_PERIOD)
        return {GENERAL: share.numerator, self.domain: share.denominator - share.numerator}

    def lineage(self, cooldown_fraction: float) -> Lineage:
        """The segments of the run, in order; neighbours differ in stream or in schedule."""
        cooldown = cooldown_start(self.total, cooldown_fraction)
        cuts = sorted({0, self.pretrain_steps, cooldown, self.total})
        return tuple(
            Segment(
                domain=GENERAL if begin < self.pretrain_steps else self.stream,
                total=None if begin < cooldown else self.total,
                stop=end,
                unique_tokens=0 if begin < self.pretrain_steps else self.unique_tokens,
            )
            for begin, end in pairwise(cuts)
        )


def last_segment_start(lineage: Lineage) -> int:
    """The step at which the last segment begins."""
    return lineage[-2].stop if len(lineage) > 1 else 0


def last_stream_start(lineage: Lineage) -> int:
    """The step at which the stream of the last segment is first read."""
    domain = lineage[-1].domain
    return max((segment.stop for segment in lineage if segment.domain != domain), default=0)


def cut_at(lineage: Lineage, step: int) -> Lineage:
    """`lineage` with its last segment ended at `step`."""
    return (*lineage[:-1], replace(lineage[-1], stop=step))


def general_prefix(lineage: Lineage) -> Lineage:
    """The segments on general text, which every domain shares."""
    return tuple(segment for segment in lineage if segment.domain == GENERAL)


def trunk_prefix(lineage: Lineage) -> Lineage:
    """The segments that the trunk's job trains.

    They are all general text of a branch, and an unsplit run up to its cooldown.
    """
    unsplit = lineage[-1].domain == GENERAL
    return lineage[:-1] if unsplit else general_prefix(lineage)


def in_training_order(lineages: Iterable[Lineage]) -> list[Lineage]:
    """Distinct lineages, depth first, so that each one follows its stored prefixes."""

    def key(lineage: Lineage) -> list[tuple[str, int, int, int]]:
        return [(s.domain, s.unique_tokens, s.total or 0, s.stop) for s in lineage]

    return sorted(set(lineages), key=key)


def prefixes(lineages: Iterable[Lineage]) -> set[Lineage]:
    """All prefixes of `lineages`: one for each state that training them stores."""
    return {lineage[:length] for lineage in lineages for length in range(1, len(lineage) + 1)}


def trained_steps(lineages: Iterable[Lineage]) -> int:
    """Number of steps that train all `lineages` when every shared prefix is trained once."""
    furthest: dict[tuple[Lineage, Segment], int] = {}
    for lineage in prefixes(lineages):
        last = lineage[-1]
        # Segments that differ in their end alone share the steps of the shortest one.
        origin = (lineage[:-1], replace(last, stop=0))
        furthest[origin] = max(furthest.get(origin, 0), last.stop)
    return sum(stop - (parent[-1].stop if parent else 0) for (parent, _), stop in furthest.items())
