"""The section `choose_domains` of the configuration: how many domains to divide a mixture into."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from splitlaw.experiment.section import Count, Distinct, Positive
from splitlaw.experiment.target_settings import Completed

NUMBERS = (2, 4, 8, 16)
"""Numbers of domains that are compared: each is twice the one before."""
PRETRAIN_SHARE = 4
"""The branches leave the trunk after this part of the budget, near which optimal splits are."""
SPECIALIZE_SHARES = (32, 8)
"""The two D' as parts of the budget: the equal shares of about 24 and 6 domains."""


class ChooseDomainsConfig(Completed):
    """Runs of the target `choose_domains`: a few branches for each number of domains."""

    numbers: Annotated[Distinct[Annotated[Count, Field(ge=2)]], Field(min_length=1)] = NUMBERS
    """Numbers of clusters of general text that are compared as domains."""
    size: str
    """Name of the size of the branches, and the size that losses are predicted for; by default the
    first of `sizes` that is not in `holdout_sizes`."""
    budget_tokens: Positive
    """Tokens of the split whose loss is predicted; by default `final.budget_tokens`."""
    pretrain_tokens: Positive
    """D of the branches, in tokens; by default a quarter of the budget."""
    specialize_tokens: Annotated[Distinct[Positive], Field(min_length=2)]
    """Values of D' of the branches, in tokens; by default 1/32 and 1/8 of the budget."""
    train: bool = False
    """Also train the best split of every number of domains with the whole budget, and write its
    loss beside the predicted one."""


def completed(given: dict[str, Any], *, size: str, budget_tokens: int) -> dict[str, Any]:
    """The section with its defaults for a size and a budget, which `given` may replace."""
    budget = given.get("budget_tokens", budget_tokens)
    found = {"size": size, "budget_tokens": budget, **given}
    if isinstance(budget, int | float):  # any other value is refused when the section is read
        found.setdefault("pretrain_tokens", int(budget) // PRETRAIN_SHARE)
        shares = [int(budget) // share for share in SPECIALIZE_SHARES]
        found.setdefault("specialize_tokens", shares)
    return found
