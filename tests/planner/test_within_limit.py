"""Splits after a base at which some branches keep a limit with few tokens and with many alone."""

from pathlib import Path

import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.laws import fit_table
from splitlaw.planner import frontier, splits_at
from splitlaw.planner.costs import flops_per_token_at
from splitlaw.planner.frontier import _problem
from splitlaw.planner.within_limit import evaluated, kept_split

LOSSES = Path(__file__).parents[2] / "reference/base/losses.csv"
TOKENS = 2e6


@pytest.fixture(scope="module")
def fit():
    return fit_table(LOSSES, draws=10, base_tokens="unknown", law="coupled")


@pytest.fixture(scope="module")
def options(fit):
    params = fit.range["params"][0]
    return {
        "flops": TOKENS * flops_per_token_at(fit.flops_per_token, params),
        "params": params,
        "replay": dict.fromkeys(fit.domains, "free"),
        "max_general_loss_rise": 0.05,
    }


def least_kept(surface, pretrain, domain):
    """The fewest tokens with which a long branch keeps the limit, on a grid with steps of 1%."""
    amounts, fewest = np.geomspace(TOKENS, 1e4, 534), np.inf
    nodes = surface.tables.nodes
    branch = np.tile(amounts[:, None], len(surface.limit))
    general = surface.laws.general_bound_by_share(np.array(pretrain), branch, nodes).min(axis=-1)
    for amount, value in zip(amounts, general[:, domain], strict=True):
        if value > surface.limit[domain]:
            break
        fewest = amount
    return fewest


def test_a_branch_slightly_too_short_for_the_limit_is_made_longer(fit, options):
    given = {k: v for k, v in options.items() if k not in ("flops", "params")}
    problem = _problem(fit, options["flops"], options["params"], given)
    pretrain, domain = 0.1 * TOKENS, fit.domains.index("science")
    fewest = least_kept(problem.surface, pretrain, domain)
    assert 1e5 < fewest < 0.8 * TOKENS
    branch = np.full(len(fit.domains), (0.9 * TOKENS - 0.98 * fewest) / (len(fit.domains) - 1))
    branch[domain] = 0.98 * fewest
    tokens, _, mean = kept_split(problem, pretrain, branch)
    assert evaluated(problem.surface, pretrain, np.floor(branch))[2] == np.inf > mean
    assert tokens[domain] == pytest.approx(fewest, rel=0.02) and tokens.sum() <= 0.9 * TOKENS


def test_a_frontier_has_the_splits_that_keep_the_limit_and_no_others(fit, options):
    fractions = np.array([0.02, 0.1])
    curve = frontier(fit, fractions=fractions, **options)
    kept = curve[curve["law"] == "mean"].set_index("fraction_general")["loss"]
    assert kept.index.tolist() == [0.1]
    with pytest.raises(UserError, match=r"no split with 0\.02 of its tokens general"):
        splits_at(fit, fractions=fractions[:1], **options)
    split = splits_at(fit, fractions=np.array([0.1]), **options)
    assert split["predicted_loss"].mean() == pytest.approx(kept[0.1], rel=1e-9)


def test_the_split_at_a_fraction_does_not_depend_on_the_others(fit, options):
    alone = splits_at(fit, fractions=np.array([0.1]), **options)
    both = splits_at(fit, fractions=np.array([0.1, 0.5]), **options)
    assert alone.equals(both[both["fraction_general"] == 0.1])
