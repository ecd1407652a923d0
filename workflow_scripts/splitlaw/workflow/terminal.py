"""Display of a running workflow: one line a stage, with its progress and the time left.

It receives the events that Snakemake logs and reads the status files of the jobs. On a terminal the
lines are redrawn in place; in a log, one line is written for each stage when it has ended.
"""

from __future__ import annotations

import difflib
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from splitlaw.common.stages import in_order, stage_of
from splitlaw.common.status import item_of
from splitlaw.corpus.summary import describe_cards
from splitlaw.workflow.failures import explain_end, named
from splitlaw.workflow.stages import Job, JobStatuses, Stage, clock
from splitlaw.workflow.stages_view import stages_table, trained_before

Work = Callable[[str, Mapping[str, str]], float]
"""Work of a job of a rule with these wildcards, where the mean over the rule's jobs is 1."""

LOGGER, DEFAULT = "snakemake.logging", "DefaultStreamHandler"
STOPPING = ("Will exit after finishing", "Terminating processes on user request")
"""Beginnings of the messages that say why a run ends early."""

JOB_EXCEPTION = "RuleException:\nCalledProcessError"
AFTER_FAILURE = (
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete successfully",
)
"""Beginnings of messages that are printed beside the more specific one of the failed job."""

NO_RULE = re.compile(r"MissingRuleException:\nNo rule to produce (.+) \(if you use input functions")
"""Beginning of the message on a target that does not exist."""

IGNORED = {
    "job_started",
    "progress",
    "shellcmd",
    "resources_info",
    "workflow_started",
    "group_info",
    "rulegraph",
    "debug_dag",
}
"""Events that the lines of the stages show already."""

FINDINGS = {
    "cost": "logs/cost.log",
    "check_provenance": "logs/check_provenance.log",
    "fit_law": "logs/fit_law.log",
    "next_runs": "logs/next_runs.log",
    "choose_split": "logs/choose_split.log",
    "seeds": "logs/final/seeds.log",
    "benchmark": "benchmarks.md",
    "compare": "compare/gains.md",
    "frontier": "logs/frontier.log",
    "delivery": "logs/delivery.log",
    "choose_domains": "logs/choose_domains.log",
    "tune_learning_rate": "learning_rate/rule.yaml",
    "new_experiment": "logs/new_experiment.log",
    "report": "summary.txt",
}
"""File of the results folder that is printed when a run ends with this stage."""

SHOWN_OUTPUTS = 4
"""Largest number of outputs of the last stage that are named when a run ends: a grid has more."""


class StageHandler(logging.Handler):
    """Turns Snakemake's log events into lines by stage, and passes on warnings and errors.

    Messages before a run are held back, and are printed only if no run follows.
    """

    def __init__(
        self,
        before: logging.Handler | None,
        *,
        results: Path,
        work: Work = lambda rule, wildcards: 1.0,
        console: Console | None = None,
    ) -> None:
        """`before` is Snakemake's own handler; None where it stays and this one only counts jobs.

        `results` is the results folder of the experiment.
        """
        super().__init__()
        self.before, self.work = before, work
        self.console = console or Console(stderr=True, highlight=False)
        self.statuses = JobStatuses(results)
        self.rules: Callable[[], Sequence[str]] = list
        """Names of the rules, which are known when the Snakefile has been read."""
        self.stages: dict[str, Stage] = {}
        self.jobs: dict[int, Job] = {}
        self.printed: set[str] = set()
        self.held: list[logging.LogRecord] | None = []
        self.live: Live | None = None
        self.last: Stage | None = None
        self.handlers = {
            "run_info": self._run_info,
            "job_info": self._job_info,
            "job_finished": self._job_finished,
            "job_error": self._job_error,
            "group_error": self._group_error,
            **dict.fromkeys(IGNORED, lambda record: None),
        }

    def emit(self, record: logging.LogRecord) -> None:
        """Process one record; an error in the display must not end the run."""
        try:
            handle = self.handlers.get(getattr(record, "event", None) or "")
            if handle is not None:
                handle(record)
            elif record.levelno >= logging.WARNING or record.getMessage().startswith(STOPPING):
                self._pass_on(record)
            elif self.held is not None:
                self.held.append(record)
        except Exception:
            self.handleError(record)

    def _pass_on(self, record: logging.LogRecord) -> None:
        """Print a message of Snakemake's, once."""
        if self.before is None or not self.before.filter(record):
            return
        text = self.before.format(record)
        if unknown := NO_RULE.match(text):
            text, self.held = wrong_target(unknown[1], self.rules()), None
        failed = any(stage.failed for stage in self.stages.values())
        repeats = text.startswith(JOB_EXCEPTION) or (failed and text.startswith(AFTER_FAILURE))
        if text and text not in self.printed and not repeats:
            self.printed.add(text)
            self.console.print(Text(text), soft_wrap=True)

    def _run_info(self, record: logging.LogRecord) -> None:
        """The run begins: its number of jobs by rule is known."""
        self.held = None
        counts: dict[str, int] = {}
        for rule, number in record.stats.items():  # type: ignore[attr-defined]
            if rule not in ("total", "all"):
                counts[stage_of(rule)] = counts.get(stage_of(rule), 0) + number
        for name in in_order(set(counts)):
            self.stages.setdefault(name, Stage(name=name)).total += counts[name]
        shown = self.before is not None and self.console.is_terminal
        if shown and self.stages and self.live is None:
            self.live = Live(get_renderable=self.table, console=self.console, refresh_per_second=4)
            self.live.start()

    def _job_info(self, record: logging.LogRecord) -> None:
        about: Any = record
        if about.rule_name == "all":
            return
        name = stage_of(about.rule_name)
        stage = self.stages.setdefault(name, Stage(name=name))
        wildcards = dict(about.wildcards or {})
        outputs = [str(file) for file in about.output or []]
        stage.outputs += outputs
        item = item_of(wildcards)
        job = Job(
            stage=stage,
            work=self.work(about.rule_name, wildcards),
            name=f"{stage.name} {item}".rstrip(),
            item=item,
            logs=[Path(str(file)) for file in about.log or []],
            outputs=[Path(file) for file in outputs],
            began=time.monotonic(),
            clock_time=time.time(),
        )
        self.jobs[about.jobid] = job
        stage.enter(about.jobid, job)
        # Jobs of later rounds of an adaptive grid are unknown when the run begins.
        stage.total = max(stage.total, stage.done + len(stage.running))

    def _job_finished(self, record: logging.LogRecord) -> None:
        number = record.job_id  # type: ignore[attr-defined]
        job = self.jobs.get(number)
        if job is None:
            return
        stage = job.stage
        self.statuses.update([job], now=True)
        stage.leave(number)
        stage.done += 1
        stage.trained_before += job.status is not None and job.status.nothing_to_do
        stage.done_work += job.work
        stage.busy += time.monotonic() - job.began
        if stage.ended:
            self.last = stage
            if self.live is None and self.before is not None:
                jobs = f"{stage.done} job{'' if stage.done == 1 else 's'}"
                parts = [jobs, clock(stage.seconds), *trained_before(stage)]
                self.console.print(f"{stage.name}: {', '.join(parts)}")
            self._describe_corpus(stage)
        if all(stage.ended for stage in self.stages.values()):
            self.stop()

    def _describe_corpus(self, stage: Stage) -> None:
        """Print what was kept and dropped of the text, when it has been prepared."""
        if stage.name != "prepare_corpus" or self.before is None:
            return
        cards = [Path(file) for file in stage.outputs if file.endswith("card.json")]
        for line in describe_cards(card for card in cards if card.is_file()):
            self.console.print(Text(line), soft_wrap=True)

    def _job_error(self, record: logging.LogRecord) -> None:
        about: Any = record
        job = self.jobs.get(about.jobid)
        if job is not None and job.stage.leave(about.jobid):
            logs = [Path(str(file)) for file in getattr(about, "log", None) or []]
            self._failed([job], [file for file in logs if file not in job.logs])

    def _group_error(self, record: logging.LogRecord) -> None:
        """Jobs that share one job of the scheduler end together; its log has the reason."""
        about: Any = record
        numbers = [info["jobid"] for info in about.job_error_info if info["jobid"] in self.jobs]
        jobs = [self.jobs[number] for number in numbers]
        for job, number in zip(jobs, numbers, strict=True):
            job.stage.leave(number)
        self._failed(jobs, [Path(file) for file in about.aux_logs])

    def _failed(self, jobs: list[Job], scheduled: list[Path]) -> None:
        """Print once why jobs ended; `scheduled` are the scheduler's logs."""
        for job in jobs:
            job.stage.failed = True
        if self.before is None:
            return
        self.statuses.update(jobs, now=True)
        end = explain_end(jobs, scheduled)
        sign, word = ("[yellow]■[/]", "stopped") if end.stopped else ("[red]✗[/]", "failed")
        self.console.print(f"{sign} [bold]{escape(named(jobs))}[/] {word}", soft_wrap=True)
        for line in end.lines:
            self.console.print(Text(line), soft_wrap=True)
        for file in end.logs:
            self.console.print(Text(f"log: {file}", style="dim"), soft_wrap=True)

    def table(self) -> Table:
        """The current state of the stages."""
        running = [job for stage in list(self.stages.values()) for job in stage.running.values()]
        self.statuses.update(running)
        return stages_table(list(self.stages.values()), self.console.width)

    def stop(self) -> None:
        """Keep the last display on the terminal and release it."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def close(self) -> None:
        """End the display; if no job was run, print Snakemake's messages, which have the reason."""
        self.stop()
        for record in self.held or []:
            self._pass_on(record)
        self.held = None
        super().close()


def wrong_target(target: str, rules: Sequence[str]) -> str:
    """The message on a target that does not exist, with rules of similar names."""
    close = difflib.get_close_matches(target, rules, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else "docs/stages.md lists the targets"
    return f"error: no rule makes {target}; {hint}"


def follow(workflow: Any, *, results: Path, work: Work) -> StageHandler | None:
    """Show a run of `workflow` by stage; None for a dry run and for jobs within a run.

    Where the user has chosen another logger, shell commands, details or silence, Snakemake's own
    output stays as it is, and the handler only records what was done.
    """
    wanted = workflow.output_settings
    if not workflow.is_main_process or wanted.dryrun:
        return None
    # With `--quiet progress`, Snakemake logs no event when a job ends.
    silent = {part.name for part in wanted.quiet or ()} & {"ALL", "PROGRESS"}
    other = wanted.verbose or wanted.printshellcmds or wanted.log_handler_settings or silent
    logger = logging.getLogger(LOGGER)
    before = next((handler for handler in logger.handlers if handler.name == DEFAULT), None)
    handler = StageHandler(None if other else before, results=results, work=work)
    handler.rules = lambda: [rule.name for rule in workflow.rules]
    if handler.before is not None:
        logger.removeHandler(handler.before)
    logger.addHandler(handler)
    return handler


def print_findings(shown: StageHandler | None, results: Path) -> None:
    """Print what the last stage of a run found, and name the files that it wrote."""
    if shown is None or shown.last is None:
        return
    shown.stop()
    stage = shown.last
    file = results / FINDINGS.get(stage.name, "")
    if file.is_file():  # a run that asks for one cell of `compare` has none
        print(f"\n{file.read_text(encoding='utf-8').rstrip()}\n")
    if stage.name != "report" and stage.outputs:
        print("Written:", *stage.outputs[-SHOWN_OUTPUTS:])
