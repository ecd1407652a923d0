"""The strategies: ways to divide one budget between general and domain tokens."""

OPTIMAL = "optimal"
"""The split that the plan chooses."""
TWO_STAGE_90 = "two_stage_90"
"""90% of the tokens general, the rest shared evenly by the domains."""
HALF = "half"
"""Half of the tokens general, the rest shared evenly by the domains."""
NO_SPLIT = "no_split"
"""One model, trained on general tokens only."""
SCRATCH = "scratch"
"""One model for each domain, trained on its tokens alone."""

BASELINES = (TWO_STAGE_90, HALF, NO_SPLIT, SCRATCH)
"""The strategies that are common today, in the order of tables and figures."""
STRATEGIES = (OPTIMAL, *BASELINES)

GENERAL_FRACTIONS = {TWO_STAGE_90: 0.9, HALF: 0.5, NO_SPLIT: 1.0, SCRATCH: 0.0}
"""Share of a baseline's budget that is general tokens."""

NAMES = {
    OPTIMAL: "Optimal split",
    TWO_STAGE_90: "Two stages, 90% general",
    HALF: "Half and half",
    NO_SPLIT: "No split",
    SCRATCH: "From scratch",
}
"""Names of the strategies in tables and figures."""

PROSE = {
    OPTIMAL: "the optimal split",
    TWO_STAGE_90: "two stages with 90% general",
    HALF: "half and half",
    NO_SPLIT: "no split",
    SCRATCH: "training from scratch",
}
"""Names of the strategies within a sentence."""
