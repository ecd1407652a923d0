"""The record of a round of an adaptive grid, round.json.

This module needs no configuration, so that reports can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splitlaw.common.files import read_json

STOPS = {
    "": "{runs} runs are next",
    "stop_regret": "it is at most grid.adaptive.stop_regret: this was the last round",
    "rounds": "grid.adaptive.rounds is reached: this was the last round",
    "max_tokens": "no further run fits in grid.adaptive.max_tokens: this was the last round",
    "pool": "every run of the grid is trained: this was the last round",
    "no_gain": "no run would reduce it: this was the last round",
}
"""Why a round is the last one, in a sentence; empty where another follows."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """The content of round.json."""

    round: int
    """Number of the round; 0 is the start."""
    domains: tuple[str, ...]
    """Domains of which runs could be chosen."""
    runs: int
    """Runs of the sizes that the law is fitted to, of this round and those before."""
    tokens: int
    """Tokens that trained them."""
    expected_regret: float
    """Expected regret of the plan for `final`, nats per token."""
    expected_regret_relative: float
    """The same, divided by the plan's predicted mean loss."""
    stop: str
    """Why no run is chosen, a key of `STOPS`; empty where runs are chosen."""
    schema_version: int = 1


def read_rounds(folder: Path) -> tuple[Round, ...]:
    """The rounds that have ended, in order; empty where the grid is not adaptive."""
    found = [Round(**read_json(file)) for file in folder.glob("*/round.json")]
    return tuple(sorted(found, key=lambda entry: entry.round))
