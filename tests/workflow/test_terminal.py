"""What a person sees of a run: stages by Snakemake's events, on a terminal and in a log."""

import io
import logging
import os
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from splitlaw.workflow import terminal
from splitlaw.workflow.terminal import Job, Stage, StageHandler, clock, failure, follow, last_lines

STAGES = {"pretrain_size": "pretrain"}


@pytest.fixture
def shown(monkeypatch):
    return make(monkeypatch, tty=False)


def make(monkeypatch, *, tty, width=100):
    before = logging.StreamHandler(io.StringIO())
    console = Console(file=io.StringIO(), force_terminal=tty, width=width, color_system=None)
    work = lambda rule, wildcards: float(wildcards.get("size", 1))  # noqa: E731
    handler = StageHandler(before, stages=STAGES, work=work, console=console)
    monkeypatch.setattr(handler, "handleError", lambda record: pytest.fail("an event was lost"))
    return handler


def tell(handler, level=logging.INFO, message="", **fields):
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    for name, value in fields.items():
        setattr(record, name, value)
    handler.emit(record)


def begin(handler, number, rule="pretrain_size", log=(), **wildcards):
    tell(
        handler,
        event="job_info",
        jobid=number,
        rule_name=rule,
        wildcards=wildcards,
        output=[f"{number}.json"],
        log=list(log),
    )


def text(handler):
    return handler.console.file.getvalue()


def test_a_log_gets_one_line_a_stage(shown):
    tell(shown, event="run_info", stats={"pretrain_size": 2, "fit_law": 1, "all": 1, "total": 4})
    for number in (1, 2):
        begin(shown, number)
        tell(shown, event="job_finished", job_id=number)
    begin(shown, 3, rule="fit_law")
    tell(shown, event="progress", done=2, total=4)
    tell(shown, event="job_finished", job_id=3)
    assert text(shown).splitlines() == ["pretrain: 2 jobs, 0 s", "fit_law: 1 job, 0 s"]
    assert shown.last.outputs == ["3.json"]


def test_a_terminal_gets_every_stage_with_its_progress(monkeypatch, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("w16: state 1/4\nw16: state 2/4\n")
    handler = make(monkeypatch, tty=True, width=130)
    tell(handler, event="run_info", stats={"pretrain_size": 3, "fit_law": 1})
    begin(handler, 1, log=[log])
    handler.stages["pretrain"].since -= 65
    begin(handler, 2, log=[log])
    tell(handler, event="job_finished", job_id=1)
    handler.console.print(handler._table())
    handler.close()
    last = text(handler).splitlines()[-3:]
    assert "1/3" in text(handler)
    assert "1:05 min" in text(handler)
    assert "w16: state 2/4" in text(handler)
    assert any("fit_law" in line and "0/1" in line for line in last)


def test_stages_stand_in_their_own_order(shown):
    shown.order = ["pretrain", "fit_law"]
    tell(shown, event="run_info", stats={"fit_law": 1, "new": 1, "pretrain_size": 2, "total": 4})
    assert list(shown.stages) == ["pretrain", "fit_law", "new"]


def test_time_left_goes_by_the_work_of_the_jobs():
    now = time.monotonic()
    stage = Stage(name="pretrain", total=4, done=1, done_work=0.5, busy=10.0)
    stage.running = {1: Job(stage=stage, work=1.5, name="", logs=[], began=now, clock_time=0)}
    assert stage.seconds_left == pytest.approx(70, abs=0.5)
    stage.running[1].began -= 10
    assert stage.seconds_left == pytest.approx(60, abs=0.5)
    assert stage.share == pytest.approx(0.25, abs=0.01)
    assert Stage(name="new", total=1).seconds_left is None


def test_a_failed_job_says_why_and_where_its_log_is(shown, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("reading\nerror: tokens.json: too few; add documents\n")
    tell(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[log], size="16")
    for _ in range(2):
        tell(shown, logging.ERROR, event="job_error", jobid=1)
    told = text(shown)
    assert told.count("error: tokens.json: too few; add documents") == 1
    assert "pretrain_size 16 failed" in told
    assert str(log) in told
    assert "reading" not in told


def test_jobs_that_found_their_models_trained_are_counted(shown, tmp_path):
    before, now = (
        "s: done, 0 tokens, all was trained before\n",
        "s: done, 1 token, 9,000 tokens/s\n",
    )
    tell(shown, event="run_info", stats={"pretrain_size": 3})
    for number, told in enumerate([before + before, now, now + before]):
        log = tmp_path / f"{number}.log"
        log.write_text(told)
        begin(shown, number, log=[log])
        tell(shown, event="job_finished", job_id=number)
    assert text(shown).splitlines() == ["pretrain: 3 jobs, 0 s, 1 trained before"]


def test_a_stages_clock_stands_still_while_it_waits_for_others(shown, monkeypatch):
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    tell(shown, event="run_info", stats={"pretrain_size": 3})
    begin(shown, 1)
    now += 5
    begin(shown, 2)
    now += 5
    for number in (1, 2):
        tell(shown, event="job_finished", job_id=number)
    now += 1000
    begin(shown, 3)
    now += 7
    tell(shown, event="job_finished", job_id=3)
    assert "pretrain: 3 jobs, 17 s" in text(shown)


SLURMS = "slurmstepd-c1: error: *** JOB 4 ON c1 CANCELLED AT noon DUE TO TIME LIMIT ***\n"


def fail_together(shown, tmp_path, *, job, slurm, numbers=(1, 2)):
    """Jobs that share one of Slurm's fail; the first of them has written `job` into its log."""
    (tmp_path / "slurm.log").write_text(slurm)
    tell(shown, event="run_info", stats={"pretrain_size": len(numbers)})
    for number in numbers:
        begin(shown, number, log=[tmp_path / f"{number}.log"], size=str(number))
    (tmp_path / "1.log").write_text(job)
    info = [{"jobid": number} for number in (*numbers, 99)]  # 99 is of a rule without a stage
    logs = [str(tmp_path / "slurm.log")]
    tell(shown, logging.ERROR, event="group_error", aux_logs=logs, job_error_info=info)
    for number in numbers:
        tell(shown, logging.ERROR, event="job_error", jobid=number)
    return text(shown)


def test_jobs_that_the_scheduler_ended_together_are_told_once_with_its_reason(shown, tmp_path):
    slurm = "resources: mem=1\n" + SLURMS + "what Snakemake says of it\n" * 50
    told = fail_together(shown, tmp_path, job="w16: 3 of 9\nstopped: go on\n", slurm=slurm)
    assert told.splitlines() == [
        "✗ pretrain_size 1, pretrain_size 2 failed",
        "JOB 4 ON c1 CANCELLED AT noon DUE TO TIME LIMIT",
        f"log: {tmp_path / 'slurm.log'}",
    ]


def test_of_many_jobs_that_end_together_the_first_are_named(shown, tmp_path):
    told = fail_together(shown, tmp_path, job="", slurm=SLURMS, numbers=range(1, 10))
    assert "pretrain_size 4 and 5 more failed" in told


def test_a_shared_job_that_ended_without_a_reason_is_told_as_that(shown, tmp_path):
    told = fail_together(shown, tmp_path, job="w16: 3 of 9\n", slurm="all is done\n" * 50)
    assert told.count("the scheduler ended it and gave no reason") == 1
    assert "all is done" not in told


@pytest.mark.parametrize(
    ("job", "last"),
    [
        ("error: a.csv: no rows; add some\n", "error: a.csv: no rows; add some"),
        (
            "Traceback (most recent call last):\n" + "  at\n" * 50 + "KeyError: 'a'\n",
            "KeyError: 'a'",
        ),
    ],
)
def test_a_mistake_in_a_shared_job_is_told_in_its_own_words(job, last, shown, tmp_path):
    told = fail_together(shown, tmp_path, job=job, slurm="x\n")
    assert told.count(last) == 1
    assert told.endswith(f"log: {tmp_path / '1.log'}\n")


def test_what_an_attempt_before_has_left_in_a_log_is_not_told_again(shown, tmp_path):
    (tmp_path / "2.log").write_text("error: mended long ago\n")
    os.utime(tmp_path / "2.log", (0, 0))
    told = fail_together(shown, tmp_path, job="w16: 3 of 9\n", slurm=SLURMS)
    assert "mended long ago" not in told
    assert "DUE TO TIME LIMIT" in told


def test_slurms_reason_is_told_of_a_job_that_has_one_of_its_own(shown, tmp_path):
    tell(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[tmp_path / "1.log"])
    (tmp_path / "1.log").write_text("stopped: go on\n")
    (tmp_path / "slurm.log").write_text(SLURMS)
    logs = [str(tmp_path / "1.log"), str(tmp_path / "slurm.log")]
    tell(shown, logging.ERROR, event="job_error", jobid=1, log=logs)
    assert "✗ pretrain_size failed\nJOB 4 ON c1 CANCELLED" in text(shown)


def test_a_job_that_was_stopped_has_not_failed(shown, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("w16: 3 of 9\nstopped: the same command goes on\n")
    tell(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[log], size="16")
    tell(shown, logging.ERROR, event="job_error", jobid=1)
    assert "pretrain_size 16 stopped" in text(shown)
    assert "failed" not in text(shown)


def test_a_bug_s_traceback_is_shown(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Traceback\n  File x\nValueError: y\n")
    assert failure(log) == "Traceback\n  File x\nValueError: y"
    assert failure(tmp_path / "none.log") == "it left no message"


def test_a_bar_redrawn_in_place_is_one_line(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("reading: 1 MB\rreading: 2 MB\nwriting\n")
    assert last_lines(log, 2) == ["reading: 2 MB", "writing"]


def test_what_leads_to_a_run_is_not_told_and_what_does_not_is(shown, monkeypatch):
    tell(shown, message="Building DAG of jobs...")
    tell(shown, event="run_info", stats={"fit_law": 1})
    shown.close()
    assert text(shown) == ""
    idle = make(monkeypatch, tty=False)
    tell(idle, message="Nothing to be done")
    idle.close()
    assert text(idle) == "Nothing to be done\n"


def test_warnings_are_passed_on_and_what_a_failed_job_says_better_is_not(shown):
    tell(shown, event="run_info", stats={"fit_law": 1})
    tell(shown, logging.WARNING, message="the disk is nearly full")
    tell(shown, logging.ERROR, message="RuleException:\nCalledProcessError in file x")
    assert text(shown) == "the disk is nearly full\n"


def test_a_run_that_is_stopped_says_so(shown):
    tell(shown, event="run_info", stats={"fit_law": 1})
    begin(shown, 1, rule="fit_law")
    tell(shown, message="Select jobs to execute...")
    for _ in range(2):
        tell(shown, message="Will exit after finishing currently running jobs (scheduler).")
    unfinished = "WorkflowError:\nAt least one job did not complete successfully."
    tell(shown, logging.ERROR, message=unfinished)
    assert text(shown).splitlines() == [
        "Will exit after finishing currently running jobs (scheduler).",
        *unfinished.splitlines(),
    ]
    tell(shown, logging.ERROR, event="job_error", jobid=1)
    tell(shown, logging.ERROR, message=f"{unfinished} ")
    assert text(shown).count("At least one job") == 1


@pytest.mark.parametrize(
    "asked", [{}, {"dryrun": True}, {"printshellcmds": True}, {"quiet": "ALL"}, {"main": False}]
)
def test_snakemake_s_own_output_stays_where_it_was_asked_for(asked, monkeypatch):
    logger = logging.getLogger("of.this.test")
    before = logging.StreamHandler()
    before.name = terminal.DEFAULT
    logger.addHandler(before)
    monkeypatch.setattr(terminal, "LOGGER", logger.name)
    settings = {"dryrun": False, "verbose": False, "printshellcmds": False, **asked}
    settings["quiet"] = [SimpleNamespace(name=asked["quiet"])] if "quiet" in asked else None
    workflow = SimpleNamespace(
        is_main_process=asked.get("main", True),
        output_settings=SimpleNamespace(log_handler_settings={}, **settings),
    )
    handler = follow(workflow, stages={}, order=(), work=lambda rule, wildcards: 1.0)
    assert (handler is None) == bool({"dryrun", "main"} & set(asked))
    assert (before in logger.handlers) == bool(asked)
    logger.handlers.clear()


def test_what_was_done_is_noted_where_another_display_was_asked_for(shown):
    shown.before = None
    tell(shown, event="run_info", stats={"fit_law": 1})
    begin(shown, 1, rule="fit_law")
    tell(shown, logging.WARNING, message="the disk is nearly full")
    tell(shown, event="job_finished", job_id=1)
    assert text(shown) == ""
    assert shown.last.name == "fit_law"


def test_durations():
    assert [clock(s) for s in (0, 7.4, 59.4, 60, 125, 3_600, 11_040)] == [
        "0 s",
        "7 s",
        "59 s",
        "1:00 min",
        "2:05 min",
        "1:00 h",
        "3:04 h",
    ]
