"""A model that exists: errors of both laws, the trained strategies, and the front of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd


def holdout(fit: Mapping[str, Any]) -> list[SimpleNamespace]:
    """Errors on held-out rows by kind, of the loss on the domains and on general text.

    Means over the domains, weighted by their rows: relative error, bias, and coverage of the
    intervals.
    """
    found = []
    for law, rows in (("domains", fit), ("general", fit.get("general_after") or {})):
        table = pd.DataFrame(rows.get("holdout", []))
        for kind, part in table.groupby("kind", sort=False) if len(table) else ():
            means = {
                name: float(np.average(part[name], weights=part["n"]))
                for name in ("mre", "bias", "coverage")
            }
            found.append(SimpleNamespace(law=law, kind=kind, rows=int(part["n"].sum()), **means))
    return found
