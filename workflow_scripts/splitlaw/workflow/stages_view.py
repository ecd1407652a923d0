"""Drawing the stages of a run on a terminal, one line each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from splitlaw.common.progress import scaled
from splitlaw.common.status import Status
from splitlaw.workflow.stages import Stage, clock

SPINNER = Spinner("dots")

FIXED = 84
"""Columns that all but the running jobs take up at most, with a long bar and a long time left."""

WIDE = 110
"""Columns from which the running jobs are shown too; in fewer, their text would be cut short."""

BAR, SHORT_BAR = 24, 10
"""Columns of a bar. With the short one, the longest line has 72 columns."""


def stages_table(stages: Sequence[Stage], width: int) -> Table:
    """A line for each stage, for a terminal of `width` columns."""
    bar = BAR if width >= WIDE else SHORT_BAR
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(min_width=bar, no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    if width >= WIDE:
        # Without a limit, a long text would take its space from the other columns.
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=width - FIXED, style="dim")
    for stage in stages:
        table.add_row(*_row(stage, bar)[: len(table.columns)])
    return table


def _row(stage: Stage, width: int) -> list[Any]:
    count = f"{stage.done}/{stage.total}"
    if stage.ended:
        head, before = Text(f"✓ {stage.name}", style="green"), " ".join(trained_before(stage))
        return [head, Text(before, style="dim"), count, clock(stage.seconds), "", ""]
    if not stage.begun:
        return [Text(f"  {stage.name}", style="dim"), "", Text(count, style="dim"), "", "", ""]
    if stage.failed and not stage.running:
        return [Text(f"✗ {stage.name}", style="red"), "", count, clock(stage.seconds), "", ""]
    turning = SPINNER.render(time.monotonic()) if stage.running else " "
    head = Text.assemble(turning, " ", stage.name)  # type: ignore[arg-type]
    left = stage.seconds_left
    bar = progress_bar(stage.share, width)
    rest = "" if left is None else f"{clock(left)} left"
    return [head, bar, count, clock(stage.seconds), rest, running_jobs(stage)]


def progress_bar(share: float, width: int) -> ProgressBar:
    """A bar that is filled up to `share`."""
    return ProgressBar(
        total=1.0, completed=share, width=width, complete_style="cyan", finished_style="cyan"
    )


def trained_before(stage: Stage) -> list[str]:
    """How many jobs of the stage found all their models stored, if any."""
    return [f"{stage.trained_before} trained before"] if stage.trained_before else []


def running_jobs(stage: Stage) -> str:
    """The progress of the jobs that run, and the number of those that start or are in a queue."""
    statuses = [job.status for job in stage.active if job.status is not None]
    waiting = sum(job.status is None for job in list(stage.running.values()))
    if len(statuses) == 1 and not waiting:
        return ", ".join(filter(None, [statuses[0].item, progress_of(statuses[0])]))
    parts = [f"{len(statuses)} running"] if statuses else []
    parts += [f"{waiting} waiting"] if waiting else []
    if total := sum(status.tokens_per_second or 0.0 for status in statuses):
        parts.append(f"{total:,.0f} tokens/s")
    items = [item for status in statuses if (item := _short(status))]
    return ", ".join(parts) + (f": {', '.join(items)}" if items else "")


def _short(status: Status) -> str:
    share = "" if status.fraction is None else f" {100 * status.fraction:.0f}%"
    return f"{status.item}{share}".strip()


def progress_of(status: Status) -> str:
    """The progress of one job: amount, throughput and time left, or its present activity."""
    if status.done is None:
        return status.message
    of = "" if status.total is None else f" of {scaled(status.total)}"
    amount = f"{scaled(status.done)}{of}{'' if status.unit == 'B' else ' '}{status.unit}"
    parts = [amount if status.unit == "tokens" else f"{status.message} {amount}"]
    if status.tokens_per_second:
        parts.append(f"{status.tokens_per_second:,.0f} tokens/s")
    if status.seconds_left is not None:
        parts.append(f"{clock(status.seconds_left)} left")
    return ", ".join(parts)
