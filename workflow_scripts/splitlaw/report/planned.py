"""The numbers of a plan that its page shows as they are, for the settings of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def planned_numbers(plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Intervals, expected regret and baselines of a plan; None without intervals.

    They are from all draws of the law; for other settings, the page computes them from the draws
    that it contains.
    """
    if plan is None:
        return None
    ends = plan.get("interval", {}).get("fraction_general")
    mean = plan.get("predicted_mean_loss")
    if not _known(ends) or mean is None or not _known(mean[1:]):
        return None
    return {
        "mean": mean[0],
        "ends": list(ends),
        "expected": list(mean[1:]),
        "regret": plan.get("expected_regret"),
        "baselines": {
            entry["strategy"]: {
                "band": list(entry["predicted_mean_loss"][1:]),
                "worse": entry["probability_worse"],
                "multiplier": entry.get("compute_multiplier"),
            }
            for entry in plan["baselines"]
            if _known(entry.get("predicted_mean_loss"))
        },
    }


def _known(values: Sequence[float | None] | None) -> bool:
    return values is not None and None not in values
