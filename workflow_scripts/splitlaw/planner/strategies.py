"""The baselines: recipes that are common today, at the FLOPs of the plan."""

from splitlaw.experiment.strategies import BASELINES, GENERAL_FRACTIONS, JOINT, NO_SPLIT, SCRATCH
from splitlaw.planner.allocate import Constraint

WHOLE = 1e-6
"""Added before the fraction of a token is cut off: 0.1 of a million is 100,000."""


def recipes(
    constraint: Constraint, pretrain: int, specialize: list[int]
) -> list[tuple[str, int, list[int]]]:
    """Strategy, D, and D'_k of each baseline, in whole tokens, beside a plan of D and D'_k.

    `two_stage_90` gives 90% of the tokens to the general run and shares the rest evenly,
    `half` 50%, `scratch` none; `no_split` trains one model on general tokens for the whole
    budget; `joint` trains one model on all tokens of the plan. With a base that exists, the
    budget's general tokens continue it.
    """
    domains = len(specialize)
    base = constraint.spent or 0.0
    trunks = 1 if constraint.spent is not None else constraint.trunks
    found: list[tuple[str, int, list[int]]] = []
    for strategy in BASELINES:
        if strategy == JOINT:
            found.append((strategy, trunks * pretrain, specialize))
            continue
        if strategy == NO_SPLIT:
            found.append((strategy, int(base + constraint.tokens + WHOLE), [0] * domains))
            continue
        share = GENERAL_FRACTIONS[strategy]
        each = int((1 - share) * constraint.tokens / domains + WHOLE)
        start = 0.0 if strategy == SCRATCH else base
        found.append(
            (strategy, int(start + share * constraint.tokens / trunks + WHOLE), [each] * domains)
        )
    return found
