"""The strategies: ways to divide one budget between general and domain tokens."""

OPTIMAL = "optimal"
"""The split that the plan chooses."""
TWO_STAGE_90 = "two_stage_90"
"""90% of the tokens general, the rest shared evenly by the domains."""
HALF = "half"
"""Half of the tokens general, the rest shared evenly by the domains."""
NO_SPLIT = "no_split"
"""One model, trained on general tokens for the whole budget."""
SCRATCH = "scratch"
"""One model for each domain, trained on its tokens alone."""

BASELINES = (TWO_STAGE_90, HALF, NO_SPLIT, SCRATCH)
"""The strategies that people use today, in the order of tables and figures."""
STRATEGIES = (OPTIMAL, *BASELINES)

GENERAL_FRACTIONS = {TWO_STAGE_90: 0.9, HALF: 0.5, NO_SPLIT: 1.0, SCRATCH: 0.0}
"""Share of a baseline's budget that is general tokens."""
