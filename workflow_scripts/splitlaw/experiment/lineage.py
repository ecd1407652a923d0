"""The prefix tree of training: what two runs have in common is trained once.

The state of a run after some step is decided by its model and seed and by the data and learning
rates of every step before. Two runs that agree so far share that state. A *path* spells this
history as a tuple of legs; states are stored under their path, so the trunk, the general cooldowns
shared by the domains, the constant part shared by longer branches, and the resumption of a killed
run are all the same look-up: the longest stored prefix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from splitlaw.common.errors import UserError
from splitlaw.experiment.schedule import cooldown_start

GENERAL = "general"


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A stretch of training on one stream under one schedule, up to and without step `stop`."""

    domain: str
    """The stream that the batches come from."""
    total: int | None
    """The run's total in steps where the cooldown has begun; None while the rate is constant."""
    stop: int
    """Steps since initialisation when the leg ends."""


Path = tuple[Leg, ...]


@dataclass(frozen=True, kw_only=True, order=True)
class Run:
    """One cooled-down model: D general steps, then D' steps on a domain.

    The run that was never split has the domain `general` and no specialisation steps.
    """

    domain: str
    """What it specialises in, or `general`."""
    pretrain_steps: int
    """D in steps."""
    specialize_steps: int
    """D' in steps."""

    def __post_init__(self) -> None:
        if self.pretrain_steps < 0 or self.specialize_steps < 0 or not self.total:
            raise UserError(
                f"a run of {self.pretrain_steps} general and {self.specialize_steps} domain steps; "
                "both must be at least 0 and one above it"
            )
        if (self.domain == GENERAL) != (self.specialize_steps == 0):
            raise UserError(
                f"a run on {self.domain} with {self.specialize_steps} specialisation steps; "
                "runs on general have none and runs on a domain have some"
            )

    @property
    def total(self) -> int:
        """D + D' in steps."""
        return self.pretrain_steps + self.specialize_steps

    def path(self, cooldown_fraction: float) -> Path:
        """The legs of the run, in order; neighbours differ in stream or in schedule."""
        cooldown = cooldown_start(self.total, cooldown_fraction)
        cuts = sorted({0, self.pretrain_steps, cooldown, self.total})
        return tuple(
            Leg(
                domain=GENERAL if begin < self.pretrain_steps else self.domain,
                total=None if begin < cooldown else self.total,
                stop=end,
            )
            for begin, end in pairwise(cuts)
        )


def start(path: Path) -> int:
    """The step at which the last leg of `path` begins."""
    return path[-2].stop if len(path) > 1 else 0


def stream_start(path: Path) -> int:
    """The step at which the stream of the last leg was first read."""
    domain = path[-1].domain
    return max((leg.stop for leg in path if leg.domain != domain), default=0)


def general_part(path: Path) -> Path:
    """The legs on general text, which every domain shares."""
    return tuple(leg for leg in path if leg.domain == GENERAL)


def trunk_part(path: Path) -> Path:
    """What a trunk's job trains of a run: its general text; of an unsplit one, to the cooldown."""
    unsplit = path[-1].domain == GENERAL
    return path[:-1] if unsplit else general_part(path)


def ordered(paths: Iterable[Path]) -> list[Path]:
    """Depth first with shorter prefixes before longer ones, so that each finds its parent ready."""

    def key(path: Path) -> list[tuple[str, int, int]]:
        return [(leg.domain, leg.total or 0, leg.stop) for leg in path]

    return sorted(set(paths), key=key)


def nodes(paths: Iterable[Path]) -> set[Path]:
    """Every state at which a leg of some path ends."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def trained_steps(paths: Iterable[Path]) -> int:
    """Steps that training all `paths` takes when every shared prefix is trained once."""
    longest: dict[tuple[Path, str, int | None], int] = {}
    for node in nodes(paths):
        leg = node[-1]
        stem = (node[:-1], leg.domain, leg.total)
        longest[stem] = max(longest.get(stem, 0), leg.stop)
    return sum(stop - (stem[0][-1].stop if stem[0] else 0) for stem, stop in longest.items())
