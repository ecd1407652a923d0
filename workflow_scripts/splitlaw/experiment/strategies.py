"""The strategies: ways to divide one budget between general and domain tokens."""

from __future__ import annotations

from splitlaw.experiment.lineage import GENERAL

OPTIMAL = "optimal"
"""The split that the plan chooses."""
TWO_STAGE_90 = "two_stage_90"
"""90% of the tokens general, the rest shared evenly by the domains."""
HALF = "half"
"""Half of the tokens general, the rest shared evenly by the domains."""
JOINT = "joint"
"""One model, trained on the general and domain tokens of the plan, shuffled."""
JOINT_STREAM = "joint-mixture"
"""The stream that `joint` reads. No domain can have this name: names of domains have no hyphen."""
NO_SPLIT = "no_split"
"""One model, trained on general tokens only."""
SCRATCH = "scratch"
"""One model for each domain, trained on its tokens alone."""

TRUNK_SEEDS = 1_000_000
"""Seeds of independent trunks differ by this much, so that they are no seeds of other runs."""

BASELINES = (TWO_STAGE_90, HALF, JOINT, NO_SPLIT, SCRATCH)
"""The strategies that the optimal split is compared with, in the order of tables and figures."""
STRATEGIES = (OPTIMAL, *BASELINES)

REPLAY_SHARES = {"no_replay": 0.0, "replay_5": 0.05, "replay_25": 0.25, "replay_50": 0.5}
"""Strategies with the general tokens and branches of the plan, and one share of replay in all."""
MIXTURE = "mixture"
"""One model that continues the base on all tokens of the plan, general and domain tokens mixed."""
REPLAY_BASELINES = (*REPLAY_SHARES, MIXTURE)
"""The strategies that a plan with a base or with replay is compared with."""
REPLAY_STRATEGIES = (OPTIMAL, *REPLAY_BASELINES)
"""The strategies with a base or with a limit on general loss, in place of `STRATEGIES`."""
SINGLE = (JOINT, MIXTURE)
"""Strategies with one model that reads all tokens of the plan, shuffled."""
REPLAYING = (OPTIMAL, TWO_STAGE_90, HALF)
"""Strategies whose branches have the share `final.replay` of general text."""

GENERAL_FRACTIONS = {TWO_STAGE_90: 0.9, HALF: 0.5, NO_SPLIT: 1.0, SCRATCH: 0.0}
"""Share of a baseline's budget that is general tokens. That of `joint` follows from the plan."""

NAMES = {
    OPTIMAL: "Optimal split",
    TWO_STAGE_90: "Two stages, 90% general",
    HALF: "Half and half",
    JOINT: "Joint, same tokens",
    NO_SPLIT: "No split",
    SCRATCH: "From scratch",
    "no_replay": "No replay",
    "replay_5": "5% replay",
    "replay_25": "25% replay",
    "replay_50": "50% replay",
    MIXTURE: "Mixture, same tokens",
}
"""Names of the strategies in tables and figures."""

PROSE = {
    OPTIMAL: "the optimal split",
    TWO_STAGE_90: "two stages with 90% general",
    HALF: "half and half",
    JOINT: "joint training",
    NO_SPLIT: "no split",
    SCRATCH: "training from scratch",
    "no_replay": "branches without replay",
    "replay_5": "5% replay in every branch",
    "replay_25": "25% replay in every branch",
    "replay_50": "50% replay in every branch",
    MIXTURE: "one model on the mixture",
}
"""Names of the strategies within a sentence."""


def model_domain(strategy: str, domain: str, specialize_tokens: int) -> str:
    """The domain of the model that a strategy uses for `domain`, which names the model's folder.

    It is `general` where one model serves all domains.
    """
    return GENERAL if strategy in SINGLE or not specialize_tokens else domain


def trunk_seed(seed: int, place: int) -> int:
    """The seed of the independent trunk of the domain at `place` in the plan, counted from 0."""
    return seed + (place + 1) * TRUNK_SEEDS
