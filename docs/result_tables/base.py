"""A model that exists: errors of both laws, the trained strategies, and the front of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.experiment.strategies import OPTIMAL, REPLAY_SHARES

MEANS = ("mre", "bias", "coverage")
HELD_OUT = "split column"
"""Source of the rows that take no part in the fit."""
QUESTIONS = {
    ("replay", True): "a share of replay between the fitted ones",
    ("specialize_tokens", True): "the largest branches, longer than the fitted ones",
    ("specialize_tokens", False): "the largest fitted branches",
    ("pretrain_tokens", False): "the largest fitted D",
    ("corner", False): "the corner of the largest fitted D and D'",
}
"""Names of the rows left out, by kind and whether they are held out of the whole fit; the others
are left out of a fit that weighs the forms."""


def holdout(fit: Mapping[str, Any]) -> list[SimpleNamespace]:
    """Errors on held-out rows by kind, of the loss on the domains and on general text.

    Means over the domains, weighted by their rows: relative error, bias, and coverage of the
    intervals.
    """
    found = []
    for law, rows in (("domains", fit), ("general", fit.get("general_after") or {})):
        table = pd.DataFrame(rows.get("holdout", []), columns=["kind", "source", "n", *MEANS])
        for (kind, held_out), question in QUESTIONS.items():
            asked = table["kind"].eq(kind) & table["source"].eq(HELD_OUT).eq(held_out)
            part = table[asked]
            if part.empty:
                continue
            means = {name: float(np.average(part[name], weights=part["n"])) for name in MEANS}
            found.append(
                SimpleNamespace(law=law, kind=question, rows=int(part["n"].sum()), **means)
            )
    return found


def with_confidence(plan: Mapping[str, Any], comparison: pd.DataFrame) -> SimpleNamespace | None:
    """The trained plan that keeps the limit with a probability, beside the trained recipes.

    Between their points of general loss and domain loss, the domain loss is linear.
    """
    if not plan or comparison.empty:
        return None
    rise = plan["general_loss_rise"]
    own = comparison[comparison["strategy"].eq(OPTIMAL)]
    general, loss = own["general_loss"].mean(), own["loss"].mean()
    means = comparison[comparison["strategy"].isin(REPLAY_SHARES)]
    means = means.groupby("strategy")[["general_loss", "loss"]].mean().sort_values("general_loss")
    front = float(np.interp(general, means["general_loss"], means["loss"]))
    return SimpleNamespace(
        confidence=rise["confidence"],
        rises=(own["general_loss"] / rise["reference"] - 1).tolist(),
        loss=loss,
        predicted_loss=plan["predicted_mean_loss"][0],
        above_front=loss / front - 1,
    )
