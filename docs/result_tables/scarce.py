"""Little text of each domain: repeated passes, and plans for several amounts of text."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import OPTIMAL
from splitlaw.stages.scarcity import regret_table

CELL = ["unique_tokens", "size", "budget"]
FEWEST = 3
"""Fractions that a measured minimum requires."""


def passes(losses: pd.DataFrame) -> tuple[SimpleNamespace, list[float], list[SimpleNamespace]]:
    """Losses after the same tokens, by how many of them differ.

    Returns the cell (`params`, `pretrain_tokens`, `specialize_tokens`), the one with the most
    passes of the largest size and D; the passes of each amount; and the losses by domain, in the
    same order, the last without repetition.
    """
    own = losses[(losses["train_domain"] == losses["domain"]) & (losses["domain"] != GENERAL)]
    keys = ["params", "pretrain_tokens", "specialize_tokens"]
    repeated = own[own["unique_specialize_tokens"] < own["specialize_tokens"]]
    cell = repeated.sort_values(keys).iloc[-1][keys]
    rows = own[(own[keys] == cell).all(axis=1)]
    amounts = rows.pivot_table(index="domain", columns="unique_specialize_tokens", values="loss")
    amounts = amounts.dropna()
    names = dict.fromkeys(keys)
    about = SimpleNamespace(**{name: int(cell[name]) for name in names})
    shares = [about.specialize_tokens / unique for unique in amounts.columns]
    found = [SimpleNamespace(domain=domain, losses=list(row)) for domain, row in amounts.iterrows()]
    return about, shares, found


def plans(folder: Path, losses: pd.DataFrame) -> list[SimpleNamespace]:
    """Plans of the trained cells with measured losses and regrets, by unique tokens and size."""
    names = [
        str(file.parent.relative_to(folder)) for file in sorted(folder.glob("*/*/*/plan.json"))
    ]
    losses = losses.fillna({"strategy": ""})
    rows = regret_table(names, losses, folder)
    rows = rows.dropna(subset="loss").sort_values(["unique_tokens", "size"])
    # A minimum between fewer fractions is not known.
    fractions = losses.groupby(CELL, dropna=False)["fraction_general"].nunique().reset_index()
    known = rows.merge(fractions, on=CELL, how="left")["fraction_general"] >= FEWEST
    rows.loc[~known.to_numpy(), ["best_share", "regret_relative"]] = np.nan
    return [SimpleNamespace(**row) for row in rows.to_dict("records")]


def prediction_errors(losses: pd.DataFrame) -> pd.Series:
    """Relative error of the predicted loss of the plans by domain, the largest first."""
    ours = (
        losses[losses["strategy"] == OPTIMAL].groupby("domain")[["predicted_loss", "loss"]].mean()
    )
    errors = ours["predicted_loss"] / ours["loss"] - 1
    return errors.reindex(errors.abs().sort_values(ascending=False).index)
