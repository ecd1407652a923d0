"""Tables of a planted base model: losses of branches with replay, on the domain and in general."""

import numpy as np
import pandas as pd

BASE = 3.2e6
"""General tokens of the base."""
PARAMS = 1.7e5
LENGTHS = (1e5, 2e5, 4e5, 8e5)
"""Tokens T of the branches."""
SHARES = (0.0, 0.1, 0.25, 0.5)
ADDED = (0.0, 8e5, 1.6e6, 3.2e6)
"""General tokens D after the base."""


def domain_loss(k, total, branch, share):
    """Loss of domain `k` after `total` general tokens and a branch of `branch` tokens."""
    size, special = 1.2 * (1 + 0.06 * (k - 0.5)), (1 - share) * branch
    general = ((total + 0.8 * share * branch) / 3e6) ** -0.25
    return (
        size + 1.1 * general + 0.9 * ((special * (1 - share) ** 0.3 + 0.05 * total) / 4e5) ** -0.3
    )


def general_loss(k, total, branch, share):
    """The general loss of the same model; that of the general run for a branch of no tokens."""
    special = (1 - share) * branch
    rise = 1.2 * (1 + 0.06 * (k - 0.5)) * (total / 3e6) ** 0.2
    rise = rise * special**0.6 / (special**0.6 + 3e5**0.6) * (0.12 / (share + 0.12)) ** 1.2
    return 1.8 + 2.0 * ((total + share * branch) / 3e6) ** -0.3 + rise


def table(
    domains: tuple[str, ...] = ("a", "b"),
    *,
    counted: bool = True,
    added: tuple[float, ...] = ADDED,
    noise: float = 0.002,
    seed: int = 0,
) -> pd.DataFrame:
    """Losses of a grid; the longest branches and those with a share of 0.25 are held out.

    `counted`: whether pretrain_tokens include those of the base.
    """
    rng, rows = np.random.default_rng(seed), []

    def add(domain, trained, k, more, branch, share, law):
        held = branch == max(LENGTHS) or share == 0.25
        rows.append(
            {
                "params": PARAMS,
                "pretrain_tokens": more + BASE * counted,
                "specialize_tokens": (1 - share) * branch,
                "domain": domain,
                "train_domain": trained,
                "loss": law(k, BASE + more, branch, share) * np.exp(noise * rng.normal()),
                "replay": share,
                "replay_tokens": share * branch,
                "split": "holdout" if held else "fit",
                "trunk": f"D{more:g}",
                "seed": 0,
            }
        )

    for more in added:
        add("general", "general", 0.5, more, 0.0, 0.0, general_loss)
        for k, domain in enumerate(domains):
            add(domain, "general", k, more, 0.0, 0.0, domain_loss)
            for branch in LENGTHS:
                for share in SHARES:
                    add(domain, domain, k, more, branch, share, domain_loss)
                    add("general", domain, k, more, branch, share, general_loss)
    return pd.DataFrame(rows)
