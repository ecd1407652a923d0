"""What a person sees while a workflow runs: one line a stage, with its progress and time left.

It listens to the events that Snakemake logs. On a terminal the lines are redrawn in place; in a log
each stage is one line, when it has ended.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from splitlaw.common.progress import NOTHING_NEW

Work = Callable[[str, Mapping[str, str]], float]
"""What a job of a rule costs with these wildcards, where the mean over the rule's jobs is 1."""

LOGGER, DEFAULT = "snakemake.logging", "DefaultStreamHandler"
STOPPING = ("Will exit after finishing", "Terminating processes on user request")
"""How messages begin that say why a run ends early."""

OF_A_JOB = "RuleException:\nCalledProcessError"
AFTER_IT = (
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
)
"""How messages begin that say less than the failed job's own, before it and after it."""

STOPPED = "stopped: "
"""How the message of a job begins that was told to end."""

TAIL = 20
"""Lines that are shown of a failed job's log, where it does not end in a message of its own."""

LOG = 2000
"""Lines of a log that are searched for a message, which others follow."""

SOME = 4
"""Jobs that are named where many end together."""

NO_REASON = "the scheduler ended it and gave no reason"
"""As where a job has just done its work when its time limit comes."""

SPINNER = Spinner("dots")
NOW_WIDTH = 110
"""Columns from which on a running job's last line is shown beside its stage."""


@dataclass(kw_only=True)
class Job:
    """One job that has been started."""

    stage: Stage
    work: float
    name: str
    logs: list[Path]
    began: float
    """By a clock that is never set."""
    clock_time: float
    """The same by the clock that files are dated by, in seconds since the epoch."""


@dataclass(kw_only=True)
class Stage:
    """The jobs of one stage in this run."""

    name: str
    total: int = 0
    done: int = 0
    done_work: float = 0.0
    nothing_new: int = 0
    """Jobs that found their models trained."""
    busy: float = 0.0
    """Seconds of its finished jobs, added up."""
    clocked: float = 0.0
    """Seconds with a job under way, up to the last moment without any."""
    since: float | None = None
    """When the first of the jobs now running began, or of those that ran without a gap before."""
    failed: bool = False
    running: dict[int, Job] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    def enter(self, number: int, job: Job) -> None:
        """A job begins."""
        self.since = self.since or job.began
        self.running[number] = job

    def leave(self, number: int) -> Job | None:
        """A job ends, however it does; None where it had ended before."""
        job = self.running.pop(number, None)
        if self.since is not None and not self.running:
            self.clocked, self.since = self.seconds, None
        return job

    @property
    def begun(self) -> bool:
        """Whether a job of it has ever been started."""
        return bool(self.running or self.done or self.failed)

    @property
    def ended(self) -> bool:
        """Whether all of it is done."""
        return self.done == self.total

    @property
    def seconds(self) -> float:
        """Seconds with a job under way, in a cluster's queue too; waiting for others is none."""
        return self.clocked + (time.monotonic() - self.since if self.since is not None else 0.0)

    @property
    def share(self) -> float:
        """How much of its work is done, from 0 to 1; running jobs count by the time they took."""
        return min((self.done_work + self._underway()) / self.total, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """What the jobs so far let expect; None before the first of them has ended."""
        if not self.done_work or not self.running:
            return None
        work = max(self.total - self.done_work - self._underway(), 0.0)
        return work * self.busy / self.done_work / len(self.running)

    def _underway(self) -> float:
        """Work of the running jobs that is probably done."""
        if not self.done_work:
            return 0.0
        rate = self.done_work / max(self.busy, 1e-3)
        now = time.monotonic()
        return sum(min(0.95 * j.work, rate * (now - j.began)) for j in self.running.values())


class StageHandler(logging.Handler):
    """Turns Snakemake's log events into lines by stage, and passes on warnings and errors.

    Messages before a run are held back: they are of interest where no run follows.
    """

    def __init__(
        self,
        before: logging.Handler | None,
        *,
        stages: Mapping[str, str],
        order: Sequence[str] = (),
        work: Work = lambda rule, wildcards: 1.0,
        console: Console | None = None,
    ) -> None:
        """`before`: Snakemake's own handler, None where it goes on and this one only listens.

        `stages`: the stage of each rule that has another; `order`: how stages stand below each
        other, the rest in Snakemake's order.
        """
        super().__init__()
        self.before, self.stage_of, self.order, self.work = before, stages, order, work
        self.console = console or Console(stderr=True, highlight=False)
        self.stages: dict[str, Stage] = {}
        self.jobs: dict[int, Job] = {}
        self.told: set[str] = set()
        self.held: list[logging.LogRecord] | None = []
        self.live: Live | None = None
        self.last: Stage | None = None

    # ---- events ---------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record; an error of ours must not end the run."""
        try:
            event = getattr(record, "event", None)
            take = getattr(self, f"_{event}", None) if event else None
            if take is not None:
                take(record)
            elif record.levelno >= logging.WARNING or record.getMessage().startswith(STOPPING):
                self._pass_on(record)
            elif self.held is not None:
                self.held.append(record)
        except Exception:
            self.handleError(record)

    def _pass_on(self, record: logging.LogRecord) -> None:
        """Print a message as Snakemake words it, once."""
        if self.before is None or not self.before.filter(record):
            return
        text = self.before.format(record)
        failed = any(stage.failed for stage in self.stages.values())
        told_better = text.startswith(OF_A_JOB) or (failed and text.startswith(AFTER_IT))
        if text and text not in self.told and not told_better:
            self.told.add(text)
            self.console.print(Text(text), soft_wrap=True)

    def _run_info(self, record: logging.LogRecord) -> None:
        """What is about to run; how that was found out is not told."""
        self.held = None
        counts: Mapping[str, int] = record.stats  # type: ignore[attr-defined]
        last = len(self.order)
        place = {stage: number for number, stage in enumerate(self.order)}
        for rule, number in sorted(
            counts.items(), key=lambda item: place.get(self.stage_of.get(item[0], item[0]), last)
        ):
            if rule not in ("total", "all"):
                name = self.stage_of.get(rule, rule)
                self.stages.setdefault(name, Stage(name=name)).total += number
        shown = self.before is not None and self.console.is_terminal
        if shown and self.stages and self.live is None:
            self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
            self.live.start()

    def _job_info(self, record: logging.LogRecord) -> None:
        about: Any = record
        name = self.stage_of.get(about.rule_name, about.rule_name)
        stage = self.stages.get(name)
        if stage is None:
            return
        wildcards = dict(about.wildcards or {})
        stage.outputs += [str(file) for file in about.output or []]
        job = Job(
            stage=stage,
            work=self.work(about.rule_name, wildcards),
            name=" ".join([about.rule_name, *map(str, wildcards.values())]),
            logs=[Path(str(file)) for file in about.log or []],
            began=time.monotonic(),
            clock_time=time.time(),
        )
        self.jobs[about.jobid] = job
        stage.enter(about.jobid, job)

    def _job_finished(self, record: logging.LogRecord) -> None:
        number = record.job_id  # type: ignore[attr-defined]
        job = self.jobs.get(number)
        if job is None:
            return
        stage = job.stage
        stage.leave(number)
        stage.done += 1
        stage.nothing_new += had_nothing_to_train(job.logs)
        stage.done_work += job.work
        stage.busy += time.monotonic() - job.began
        if stage.ended:
            self.last = stage
            if self.live is None and self.before is not None:
                told = [_jobs(stage.done), clock(stage.seconds), *_idle(stage)]
                self.console.print(f"{stage.name}: {', '.join(told)}")
        if all(stage.ended for stage in self.stages.values()):
            self.stop()

    def _job_error(self, record: logging.LogRecord) -> None:
        about: Any = record
        job = self.jobs.get(about.jobid)
        if job is not None and job.stage.leave(about.jobid):
            logs = [Path(str(file)) for file in getattr(about, "log", None) or []]
            self._failed([job], [file for file in logs if file not in job.logs])

    def _group_error(self, record: logging.LogRecord) -> None:
        """Jobs that share one of the scheduler's end together; its words are in that one's log."""
        about: Any = record
        numbers = [info["jobid"] for info in about.job_error_info if info["jobid"] in self.jobs]
        jobs = [self.jobs[number] for number in numbers]
        for job, number in zip(jobs, numbers, strict=True):
            job.stage.leave(number)
        self._failed(jobs, [Path(file) for file in about.aux_logs])

    def _failed(self, jobs: list[Job], scheduled: list[Path]) -> None:
        """Say once why jobs ended: in their own words, else in the scheduler's from its logs."""
        for job in jobs:
            job.stage.failed = True
        if self.before is None:
            return
        end = why(jobs, scheduled)
        sign, word = ("[yellow]■[/]", "stopped") if end.stopped else ("[red]✗[/]", "failed")
        self.console.print(f"{sign} [bold]{escape(named(jobs))}[/] {word}", soft_wrap=True)
        for line in end.words:
            self.console.print(Text(line), soft_wrap=True)
        for file in end.logs:
            self.console.print(Text(f"log: {file}", style="dim"), soft_wrap=True)

    def _nothing(self, record: logging.LogRecord) -> None:
        """An event that the lines above tell already."""

    _job_started = _progress = _shellcmd = _resources_info = _workflow_started = _nothing
    _group_info = _rulegraph = _debug_dag = _nothing

    # ---- the picture ----------------------------------------------------------------------

    def _table(self) -> Table:
        wide = self.console.width >= NOW_WIDTH
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(width=24)
        for _ in range(3):
            table.add_column(justify="right", no_wrap=True)
        if wide:
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
        for stage in self.stages.values():
            table.add_row(*self._row(stage)[: 6 if wide else 5])
        return table

    def _row(self, stage: Stage) -> list[Any]:
        count = f"{stage.done}/{stage.total}"
        if stage.ended:
            head, idle = Text(f"✓ {stage.name}", style="green"), " ".join(_idle(stage))
            return [head, Text(idle, style="dim"), count, clock(stage.seconds), "", ""]
        if not stage.begun:
            return [Text(f"  {stage.name}", style="dim"), "", Text(count, style="dim"), "", "", ""]
        if stage.failed and not stage.running:
            return [Text(f"✗ {stage.name}", style="red"), "", count, clock(stage.seconds), "", ""]
        turning = SPINNER.render(time.monotonic()) if stage.running else " "
        head = Text.assemble(turning, " ", stage.name)  # type: ignore[arg-type]
        left = stage.seconds_left
        bar = ProgressBar(
            total=1.0, completed=stage.share, width=24, complete_style="cyan", finished_style="cyan"
        )
        rest = "" if left is None else f"about {clock(left)} left"
        return [head, bar, count, clock(stage.seconds), rest, _now(stage)]

    def stop(self) -> None:
        """Leave the last picture standing and give the terminal back."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def close(self) -> None:
        """End of the run, however it came; where nothing was run, Snakemake says why."""
        self.stop()
        for record in self.held or []:
            self._pass_on(record)
        self.held = None
        super().close()


def _jobs(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"


def _idle(stage: Stage) -> list[str]:
    """How many of its jobs had nothing to train, if any."""
    return [f"{stage.nothing_new} trained before"] if stage.nothing_new else []


def _now(stage: Stage) -> str:
    """The last line that the stage's newest job has said."""
    for job in reversed(stage.running.values()):
        for file in job.logs:
            lines = last_lines(file, 1)
            if lines:
                return lines[0]
    return ""


def last_lines(file: Path, number: int) -> list[str]:
    """The last lines of a log; a bar that is redrawn with carriage returns is one line."""
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            lines = deque((line for line in stream if line.strip()), maxlen=number)
    except OSError:
        return []
    return [line.rstrip().rsplit("\r", 1)[-1] for line in lines]


@dataclass(frozen=True, kw_only=True)
class End:
    """Why jobs ended, what to print of it, and where to read on."""

    words: Sequence[str]
    logs: Sequence[Path]
    stopped: bool = False


def why(jobs: Sequence[Job], scheduled: Sequence[Path]) -> End:
    """Why jobs of one scheduler's job ended; without a scheduler, why a job did."""
    logs = [log for job in jobs for log in job.logs if not scheduled or written_since(log, job)]
    told = {log: failure(log) for log in logs}
    ours = {log: words for log, words in told.items() if of_its_own(log)}
    if ours:
        return End(words=list(dict.fromkeys(ours.values())), logs=list(ours))
    if reasons := scheduler_reasons(scheduled):
        return End(words=reasons[:1], logs=scheduled)
    if any(words.startswith(STOPPED) for words in told.values()):
        return End(words=[], logs=[], stopped=True)
    if scheduled:
        return End(words=[NO_REASON], logs=scheduled)
    return End(words=list(told.values()), logs=logs)


def named(jobs: Sequence[Job]) -> str:
    """The first few jobs in words."""
    names = sorted(job.name for job in jobs)
    more = f" and {len(names) - SOME} more" if len(names) > SOME else ""
    return ", ".join(names[:SOME]) + more


def written_since(log: Path, job: Job) -> bool:
    """Whether a log is of this attempt; jobs that it never came to have those of the one before."""
    try:
        return log.stat().st_mtime >= job.clock_time
    except OSError:
        return False


def of_its_own(log: Path) -> bool:
    """Whether a log ends in a mistake, the user's or ours."""
    lines = last_lines(log, LOG) or [""]
    traced = any(line.startswith("Traceback (most recent call last)") for line in lines)
    return lines[-1].startswith("error: ") or (traced and not lines[-1].startswith(STOPPED))


def failure(file: Path) -> str:
    """Why a job failed: the message to the user that its log ends with, or the end of its log."""
    lines = last_lines(file, TAIL)
    if lines and lines[-1].startswith(("error: ", STOPPED)):
        return lines[-1]
    return "\n".join(lines) or "it left no message"


def scheduler_reasons(files: Sequence[Path]) -> list[str]:
    """What Slurm wrote into the logs of its job when it ended it, the cause first."""
    lines = [line for file in files for line in last_lines(file, LOG)]
    said = [line.partition("error: ")[2] for line in lines if line.startswith("slurmstepd")]
    return list(dict.fromkeys(reason.strip("* ") for reason in said))


def had_nothing_to_train(logs: Sequence[Path]) -> bool:
    """Whether every training that a job tells of had been done before."""
    lines = [line for log in logs for line in last_lines(log, LOG) if ": done, " in line]
    return bool(lines) and all(line.endswith(NOTHING_NEW) for line in lines)


def clock(seconds: float) -> str:
    """A duration: 7 s, 2:05 min, 3:04 h."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def follow(
    workflow: Any, *, stages: Mapping[str, str], order: Sequence[str], work: Work
) -> StageHandler | None:
    """Show a run of `workflow` by stage; None for a dry run and for jobs within a run.

    Where the user asked for another logger, for shell commands, for details or for silence,
    Snakemake's own output stays as it is, and the handler only notes what was done.
    """
    wanted = workflow.output_settings
    if not workflow.is_main_process or wanted.dryrun:
        return None
    # Asked to be quiet about progress, Snakemake logs no event when a job ends.
    silent = {part.name for part in wanted.quiet or ()} & {"ALL", "PROGRESS"}
    other = wanted.verbose or wanted.printshellcmds or wanted.log_handler_settings or silent
    logger = logging.getLogger(LOGGER)
    before = next((handler for handler in logger.handlers if handler.name == DEFAULT), None)
    shown = None if other else before
    handler = StageHandler(shown, stages=stages, order=order, work=work)
    if handler.before is not None:
        logger.removeHandler(handler.before)
    logger.addHandler(handler)
    return handler
