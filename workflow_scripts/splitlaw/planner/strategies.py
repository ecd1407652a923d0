"""The baselines: recipes that are common today, at the FLOPs of the plan."""

from dataclasses import dataclass

from splitlaw.experiment.strategies import BASELINES, GENERAL_FRACTIONS, NO_SPLIT, SCRATCH
from splitlaw.planner.constraint import Constraint

WHOLE = 1e-6
"""Added before the fraction of a token is cut off: 0.1 of a million is 100,000."""


@dataclass(frozen=True)
class Recipe:
    """The tokens of a baseline."""

    strategy: str
    pretrain: int
    specialize: list[int]
    predictable: bool = True
    """Whether a law of D general tokens and then D' domain tokens describes it."""


def recipes(constraint: Constraint, pretrain: int, specialize: list[int]) -> list[Recipe]:
    """Each baseline in whole tokens, beside a plan of `pretrain` and `specialize` tokens.

    `two_stage_90` gives 90% of the tokens to the general run and shares the rest evenly, `half`
    50%, `scratch` none; `no_split` trains one model on general tokens for the whole budget. With a
    base that exists, the budget's general tokens continue it. Any other strategy, such as `joint`,
    is one model on all tokens of the plan in another order, which no law describes.
    """
    return [_recipe(strategy, constraint, pretrain, specialize) for strategy in BASELINES]


def _recipe(strategy: str, constraint: Constraint, pretrain: int, specialize: list[int]) -> Recipe:
    base, domains = constraint.pretrain or 0.0, len(specialize)
    if strategy == NO_SPLIT:
        return Recipe(strategy, int(base + constraint.tokens + WHOLE), [0] * domains)
    trunks = 1 if constraint.pretrain is not None else constraint.trunks
    if strategy not in GENERAL_FRACTIONS:
        return Recipe(strategy, trunks * pretrain, specialize, predictable=False)
    share = GENERAL_FRACTIONS[strategy]
    each = int((1 - share) * constraint.tokens / domains + WHOLE)
    start = 0.0 if strategy == SCRATCH else base
    return Recipe(
        strategy, int(start + share * constraint.tokens / trunks + WHOLE), [each] * domains
    )
