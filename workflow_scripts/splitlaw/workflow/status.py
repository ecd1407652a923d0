"""The command `splitlaw status`: the jobs of every experiment, from their status files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from splitlaw.common.stages import in_order
from splitlaw.common.status import DONE, FOLDER, INTERVAL, RUNNING, Status, StatusReader
from splitlaw.workflow.stages import clock
from splitlaw.workflow.stages_view import SHORT_BAR, progress_bar, progress_of

LOST = "lost"
"""State shown for a job that ended without recording its end."""

STYLES = {RUNNING: "cyan", DONE: "green", "failed": "red", "stopped": "yellow", LOST: "red"}


def show_status(
    results: Path | None = None,
    *,
    watch: bool = False,
    root: Path = Path(),
    console: Console | None = None,
) -> None:
    """Print the jobs of an experiment by stage, or of all experiments of a checkout.

    Only status files are read, and nothing is locked.

    Parameters
    ----------
    results
        Results folder of the experiment; all below `root`/results if left out.
    watch
        Whether to redraw the table every second until Ctrl-C.
    root
        Folder of the checkout.
    console
        Where to print, standard output if left out.

    """
    console = console or Console(highlight=False)
    readers: dict[Path, StatusReader] = {}

    def picture() -> RenderableType:
        folders = [results] if results else experiments(root)
        found = {folder: readers.setdefault(folder, StatusReader(folder)) for folder in folders}
        return _picture({folder: reader.read() for folder, reader in found.items()}, results, root)

    if not watch:
        console.print(picture())
        return
    try:
        with Live(get_renderable=picture, console=console, refresh_per_second=1 / INTERVAL):
            while True:
                time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return


def experiments(root: Path) -> list[Path]:
    """The results folders below `root` in which jobs have written a status."""
    return sorted(folder.parent for folder in root.glob(f"results/*/{FOLDER}") if folder.is_dir())


def _picture(found: dict[Path, list[Status]], results: Path | None, root: Path) -> RenderableType:
    known = {folder: statuses for folder, statuses in found.items() if statuses}
    if not known:
        where = results or root / "results"
        return Text(f"No job has written a status below {where}.", no_wrap=True, overflow="ignore")
    return Group(
        *(
            part
            for folder, statuses in known.items()
            for part in _experiment(
                folder.relative_to(root) if folder.is_relative_to(root) else folder, statuses
            )
        )
    )


def _experiment(folder: Path, statuses: Sequence[Status]) -> list[RenderableType]:
    """Heading and table of one experiment."""
    now = time.time()
    stages: dict[str, list[Status]] = {}
    for status in statuses:
        stages.setdefault(status.stage, []).append(status)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(min_width=SHORT_BAR, no_wrap=True)
    table.add_column(overflow="fold")
    for name in in_order(set(stages)):
        table.add_row(f"  {name}", "", _counts(stages[name], now))
        for status in stages[name]:
            if (state := state_of(status, now)) != DONE:
                item = Text(f"    {status.item or status.stage}")
                table.add_row(item, _mark(status, state), _details(status, state, now))
    heading = Text.assemble((str(folder), "bold"), ": ", _counts(statuses, now))
    return [heading, table]


def state_of(status: Status, now: float) -> str:
    """The state of a job; `lost` if it ended without recording its end."""
    return LOST if status.is_lost(now) else status.state


def _counts(statuses: Sequence[Status], now: float) -> Text:
    """`3 done, 1 running`."""
    counts = Counter(state_of(status, now) for status in statuses)
    parts = [
        Text(f"{counts[state]} {state}", style=STYLES[state]) for state in STYLES if counts[state]
    ]
    return Text(", ").join(parts)


def _mark(status: Status, state: str) -> RenderableType:
    if state == RUNNING and status.fraction is not None:
        return progress_bar(status.fraction, SHORT_BAR)
    return Text(state, style=STYLES.get(state, ""))


def _details(status: Status, state: str, now: float) -> Text:
    """The progress of a running job, the reason of a failed one, the place of a lost one."""
    if state == RUNNING:
        return Text(progress_of(status) or f"for {clock(now - status.started)}")
    ago = f"{clock(max(now - status.written, 0.0))} ago"
    if state == LOST:
        slurm = f", Slurm job {status.slurm_job_id}" if status.slurm_job_id else ""
        return Text(f"last report {ago}, {status.host}, process {status.pid}{slurm}")
    return Text(", ".join(filter(None, [status.message, ago])))
