"""Warmup, constant, linear cooldown: the learning rate as a pure function of the step.

A step is one batch. The functions here count in steps, the configuration in tokens. The schedule
depends on a run's total D + D' and never on the split, so that runs of equal total differ in their
data alone.
"""


def cooldown_start(total: int, fraction: float) -> int:
    """The first step of the cooldown, `fraction` of a run of `total` steps and at least one."""
    return total - max(1, round(fraction * total))


def learning_rate_factor(step: int, *, warmup: int, total: int | None, fraction: float) -> float:
    """The learning rate at `step`, counted from 0, as a share of its peak.

    `total` is None on a trunk and on the constant part of a branch, which runs of several totals
    share. In the cooldown the factor falls linearly from 1 at the first step; it would be 0 at step
    `total`, which is not run.
    """
    rising = (step + 1) / warmup if step < warmup else 1.0
    if total is None or step < (start := cooldown_start(total, fraction)):
        return rising
    return rising * (total - step) / (total - start)
