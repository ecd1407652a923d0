"""The compute-optimal split of a budget under a fitted law.

>>> from splitlaw.planner import plan
>>> plan(fit, flops=1e15, params=1e6).fraction_general                   # doctest: +SKIP
"""

from splitlaw.planner.frontier import frontier, splits_at
from splitlaw.planner.inverse import least_compute
from splitlaw.planner.multiplier import multipliers_of_gains
from splitlaw.planner.next_runs import next_runs
from splitlaw.planner.plan import plan
from splitlaw.planner.replay_plan import plan_with_replay
from splitlaw.planner.result import Baseline, Plan

__all__ = [
    "Baseline",
    "Plan",
    "frontier",
    "least_compute",
    "multipliers_of_gains",
    "next_runs",
    "plan",
    "plan_with_replay",
    "splits_at",
]
