"""Warmup, constant, linear cooldown: the learning rate as a pure function of the step.

A step is one batch, so everything here counts in steps; the config speaks of tokens. The schedule
sees a run's total D + D' and never where the split lies, so that recipes of equal total differ in
their data alone.
"""


def cooldown_start(total: int, fraction: float) -> int:
    """The first step of the cooldown in a run of `total` steps."""
    return total - max(1, round(fraction * total))


def learning_rate_factor(step: int, *, warmup: int, total: int | None, fraction: float) -> float:
    """The share of the peak learning rate at `step`, counted from 0.

    `total` is None on a trunk or the constant part of a branch, whose end is not yet decided. The
    factor falls linearly from 1 at the cooldown's first step and would be 0 at step `total`, the
    first one that is not run.
    """
    rising = (step + 1) / warmup if step < warmup else 1.0
    if total is None or step < (start := cooldown_start(total, fraction)):
        return rising
    return rising * (total - step) / (total - start)
