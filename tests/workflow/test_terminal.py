"""Display of a run: stages by Snakemake's events and the jobs' status files."""

import io
import logging
import os
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from splitlaw.common.files import write_json
from splitlaw.workflow import terminal
from splitlaw.workflow.failures import tail
from splitlaw.workflow.stages import Job, Stage, clock
from splitlaw.workflow.terminal import StageHandler, follow, print_findings


@pytest.fixture
def shown(monkeypatch, tmp_path):
    return make(monkeypatch, tmp_path, tty=False)


def make(monkeypatch, results, *, tty, width=100):
    before = logging.StreamHandler(io.StringIO())
    console = Console(file=io.StringIO(), force_terminal=tty, width=width, color_system=None)
    work = lambda rule, wildcards: float(wildcards.get("size", 1))  # noqa: E731
    handler = StageHandler(before, results=results, work=work, console=console)
    monkeypatch.setattr(handler, "handleError", lambda record: pytest.fail("an event was lost"))
    return handler


def send(handler, level=logging.INFO, message="", **fields):
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    for name, value in fields.items():
        setattr(record, name, value)
    handler.emit(record)


def begin(handler, number, rule="pretrain_size", log=(), **wildcards):
    send(
        handler,
        event="job_info",
        jobid=number,
        rule_name=rule,
        wildcards=wildcards,
        output=[f"{number}.json"],
        log=list(log),
    )


def report(results, number, *, state="running", **fields):
    """The job writes its status."""
    about = {"started": time.time(), "written": time.time(), "host": "elsewhere", "pid": 1}
    content = {"stage": "pretrain", "state": state, "out": f"{number}.json", **about, **fields}
    write_json(results / f"status/pretrain-{number}.json", content)


def text(handler):
    return handler.console.file.getvalue()


def test_a_log_gets_one_line_a_stage(shown):
    send(shown, event="run_info", stats={"pretrain_size": 2, "fit_law": 1, "all": 1, "total": 4})
    for number in (1, 2):
        begin(shown, number)
        send(shown, event="job_finished", job_id=number)
    begin(shown, 3, rule="fit_law")
    send(shown, event="progress", done=2, total=4)
    send(shown, event="job_finished", job_id=3)
    assert text(shown).splitlines() == ["pretrain: 2 jobs, 0 s", "fit_law: 1 job, 0 s"]
    assert shown.last.outputs == ["3.json"]


def test_jobs_of_later_rounds_are_counted_when_they_begin(shown):
    send(shown, event="run_info", stats={"pretrain_size": 1, "evaluate": 1, "total": 2})
    begin(shown, 1)
    send(shown, event="job_finished", job_id=1)
    begin(shown, 2, rule="pretrain_round")
    begin(shown, 3, rule="fit_law_round")
    assert shown.stages["pretrain"].total == 2
    assert not shown.stages["pretrain"].ended
    for number in (2, 3):
        send(shown, event="job_finished", job_id=number)
    assert text(shown).splitlines() == [
        "pretrain: 1 job, 0 s",
        "pretrain: 2 jobs, 0 s",
        "fit_law: 1 job, 0 s",
    ]


def test_dropped_text_is_shown_when_the_corpus_is_prepared(shown, tmp_path):
    dropped = {"blank": {"documents": 10, "bytes": 10_000}}
    splits = {"train": {"documents": 90, "bytes": 90_000}}
    card = tmp_path / "corpus/law/card.json"
    write_json(card, {"domain": "law", "splits": splits, "dropped": dropped})
    send(shown, event="run_info", stats={"prepare_corpus": 1, "total": 1})
    about = {"rule_name": "prepare_corpus", "wildcards": {}, "output": [str(card)], "log": []}
    send(shown, event="job_info", jobid=1, **about)
    send(shown, event="job_finished", job_id=1)
    assert text(shown).splitlines() == [
        "prepare_corpus: 1 job, 0 s",
        "domain law: kept 90 documents, 0.09 MB; dropped: blank 10 documents, 0.01 MB",
        "warning: domain law: 10% dropped as blank",
    ]


TRAINING = {"unit": "tokens", "message": "w16 trunk", "total": 4000}


@pytest.mark.parametrize("width", [80, 140])
def test_a_terminal_gets_every_stage_with_its_progress(width, monkeypatch, tmp_path):
    handler = make(monkeypatch, tmp_path, tty=True, width=width)
    send(handler, event="run_info", stats={"pretrain_size": 3, "fit_law": 1})
    begin(handler, 1)
    handler.stages["pretrain"].since -= 65
    begin(handler, 2)
    send(handler, event="job_finished", job_id=1)
    speed = {"tokens_per_second": 500.0, "seconds_left": 4.0}
    report(tmp_path, 2, item="w16 seed0", done=2000, **speed, **TRAINING)
    handler.statuses._read = 0.0
    handler.console.print(handler.table())
    handler.close()
    lines = text(handler).splitlines()
    assert max(map(len, lines)) <= width
    assert any("fit_law" in line and "0/1" in line for line in lines[-3:])
    (line, *_) = [line for line in lines if "1/3" in line]
    assert "1:05 min" in line
    wide = "w16 seed0, 2.00k of 4.00k tokens, 500 tokens/s, 4 s left"
    assert (wide in line) == (width == 140)


def test_of_several_jobs_the_sum_and_those_in_a_queue_are_shown(monkeypatch, tmp_path):
    handler = make(monkeypatch, tmp_path, tty=True, width=160)
    send(handler, event="run_info", stats={"pretrain_size": 3})
    for number in (1, 2, 3):
        begin(handler, number)
    report(tmp_path, 1, item="w16 seed0", done=2000, tokens_per_second=500.0, **TRAINING)
    report(tmp_path, 2, item="w24 seed0", done=1000, tokens_per_second=700.0, **TRAINING)
    handler.statuses._read = 0.0
    handler.console.print(handler.table())
    handler.close()
    expected = "2 running, 1 waiting, 1,200 tokens/s: w16 seed0 50%, w24 seed0 25%"
    assert expected in text(handler)


def test_stages_are_in_the_order_of_the_data(shown):
    stats = {"frontier": 1, "fit_law": 1, "compare": 1, "pretrain_size": 2, "total": 5}
    send(shown, event="run_info", stats=stats)
    assert list(shown.stages) == ["pretrain", "fit_law", "compare", "frontier"]
    assert shown.stages["pretrain"].total == 2


def running(stage, **fields):
    """A job that reports its status."""
    defaults = {"state": "running", "unit": "", "fraction": None, "seconds_left": None}
    return Job(
        stage=stage,
        work=1.5,
        name="",
        began=time.monotonic(),
        clock_time=0,
        status=SimpleNamespace(**{**defaults, **fields}),
    )


def test_time_left_depends_on_the_work_of_the_jobs():
    stage = Stage(name="pretrain", total=4, done=1, done_work=0.5, busy=10.0)
    stage.running = {1: running(stage)}
    assert stage.seconds_left == pytest.approx(70, abs=0.5)
    stage.running[1].began -= 10
    assert stage.seconds_left == pytest.approx(60, abs=0.5)
    assert stage.share == pytest.approx(0.25, abs=0.01)
    assert Stage(name="new", total=1).seconds_left is None


def test_time_left_is_known_before_the_first_job_ends_where_jobs_report_progress():
    stage = Stage(name="pretrain", total=3)
    stage.running = {
        1: running(stage, unit="tokens", fraction=0.5, started=100.0, written=130.0),
        2: Job(stage=stage, work=1.5, name="", began=0.0, clock_time=0),  # in a queue
    }
    assert stage.share == 0.25
    assert stage.seconds_left == pytest.approx(2.25 / (0.75 / 30))
    stage.running[1].status.seconds_left = 500.0
    assert stage.seconds_left == 500, "a stage ends no sooner than its jobs"


def test_the_message_of_a_failed_job_has_the_reason_and_the_log(shown, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("reading\nerror: tokens.json: too few; add documents\n")
    send(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[log], size="16", seed="0")
    report(tmp_path, 1, state="failed", message="error: tokens.json: too few; add documents")
    for _ in range(2):
        send(shown, logging.ERROR, event="job_error", jobid=1)
    assert text(shown).splitlines() == [
        "✗ pretrain 16 seed0 failed",
        "error: tokens.json: too few; add documents",
        f"log: {log}",
    ]


def test_a_bugs_traceback_is_shown(shown, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Traceback\n" + "  at\n" * 50 + "KeyError: 'a'\n")
    send(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[log])
    report(tmp_path, 1, state="failed", message="KeyError: 'a'")
    send(shown, logging.ERROR, event="job_error", jobid=1)
    lines = text(shown).splitlines()
    assert lines[0] == "✗ pretrain failed"
    assert lines[-2:] == ["KeyError: 'a'", f"log: {log}"]
    assert len(lines) == 22


def test_the_message_of_a_killed_job_has_its_progress(shown, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("w16: 3 of 9\n")
    send(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[log])
    report(tmp_path, 1, done=1000, **TRAINING)
    send(shown, logging.ERROR, event="job_error", jobid=1)
    assert "it ended at 25% without a message" in text(shown)
    assert "3 of 9" not in text(shown)


def test_a_job_that_ended_before_it_wrote_a_status_shows_its_log(shown, tmp_path):
    log = tmp_path / "job.log"
    send(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[log])
    log.write_text("error: unrecognized arguments: --x; see splitlaw pretrain --help\n")
    send(shown, logging.ERROR, event="job_error", jobid=1)
    assert "error: unrecognized arguments: --x" in text(shown)


def test_a_job_that_could_not_write_its_message_on_a_full_disk_has_the_reason(shown, small_disk):
    logs = [small_disk / "one.log", small_disk / "two.log"]
    send(shown, event="run_info", stats={"pretrain_size": 2})
    for number, log in enumerate(logs):
        begin(shown, number, log=[log])
        log.touch()
    send(shown, logging.ERROR, event="job_error", jobid=0)
    send(shown, logging.ERROR, event="job_error", jobid=1)
    assert text(shown).count(f"error: {small_disk}: No space left on device; finished files") == 2
    assert "killed" not in text(shown)


def test_jobs_that_found_their_models_trained_are_counted(shown, tmp_path):
    send(shown, event="run_info", stats={"pretrain_size": 2})
    for number, before in enumerate([True, False]):
        begin(shown, number)
        report(tmp_path, number, state="done", nothing_to_do=before)
        send(shown, event="job_finished", job_id=number)
    assert text(shown).splitlines() == ["pretrain: 2 jobs, 0 s, 1 trained before"]


def test_a_stages_clock_stops_while_it_waits_for_others(shown, monkeypatch):
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    send(shown, event="run_info", stats={"pretrain_size": 3})
    begin(shown, 1)
    now += 5
    begin(shown, 2)
    now += 5
    for number in (1, 2):
        send(shown, event="job_finished", job_id=number)
    now += 1000
    begin(shown, 3)
    now += 7
    send(shown, event="job_finished", job_id=3)
    assert "pretrain: 3 jobs, 17 s" in text(shown)


SLURMS = "slurmstepd-c1: error: *** JOB 4 ON c1 CANCELLED AT noon DUE TO TIME LIMIT ***\n"


def fail_together(shown, tmp_path, *, slurm, numbers=(1, 2), **first):
    """Jobs that share one of Slurm's fail; the first of them has written its status."""
    (tmp_path / "slurm.log").write_text(slurm)
    send(shown, event="run_info", stats={"pretrain_size": len(numbers)})
    for number in numbers:
        begin(shown, number, log=[tmp_path / f"{number}.log"], size=str(number))
    if first:
        report(tmp_path, 1, **first)
    info = [{"jobid": number} for number in (*numbers, 99)]  # 99 is of a rule without a stage
    logs = [str(tmp_path / "slurm.log")]
    send(shown, logging.ERROR, event="group_error", aux_logs=logs, job_error_info=info)
    for number in numbers:
        send(shown, logging.ERROR, event="job_error", jobid=number)
    return text(shown)


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_jobs_that_slurm_ended_together_are_reported_once_with_its_reason(state, shown, tmp_path):
    slurm = "resources: mem=1\n" + SLURMS + "a message of Snakemake\n" * 50
    printed = fail_together(shown, tmp_path, state=state, slurm=slurm)
    assert printed.splitlines() == [
        "✗ pretrain 1, pretrain 2 failed",
        "JOB 4 ON c1 CANCELLED AT noon DUE TO TIME LIMIT",
        f"log: {tmp_path / 'slurm.log'}",
    ]


def test_of_many_jobs_that_end_together_the_first_are_named(shown, tmp_path):
    printed = fail_together(shown, tmp_path, slurm=SLURMS, numbers=range(1, 10))
    assert "pretrain 4 and 5 more failed" in printed


def test_a_shared_job_that_ended_without_a_reason_is_reported(shown, tmp_path):
    printed = fail_together(shown, tmp_path, state="running", slurm="all is done\n" * 50)
    assert printed.count("the scheduler ended it without a reason") == 1
    assert "all is done" not in printed


def test_the_message_of_a_shared_job_comes_before_slurms(shown, tmp_path):
    message = "error: a.csv: no rows; add some"
    printed = fail_together(shown, tmp_path, state="failed", message=message, slurm=SLURMS)
    assert printed.splitlines() == [
        "✗ pretrain 1, pretrain 2 failed",
        message,
        f"log: {tmp_path / '1.log'}",
    ]


def test_the_status_and_log_of_an_earlier_run_are_not_shown(shown, tmp_path):
    log = tmp_path / "2.log"
    log.write_text("error: fixed long ago\n")
    os.utime(log, (0, 0))
    old = {"state": "failed", "message": "error: fixed long ago", "started": time.time() - 60}
    printed = fail_together(shown, tmp_path, slurm=SLURMS, **old)
    assert "fixed long ago" not in printed
    assert "DUE TO TIME LIMIT" in printed


def test_slurms_reason_is_shown_of_a_job_that_has_one_of_its_own(shown, tmp_path):
    send(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[tmp_path / "1.log"])
    report(tmp_path, 1, state="stopped")
    (tmp_path / "slurm.log").write_text(SLURMS)
    logs = [str(tmp_path / "1.log"), str(tmp_path / "slurm.log")]
    send(shown, logging.ERROR, event="job_error", jobid=1, log=logs)
    assert "✗ pretrain failed\nJOB 4 ON c1 CANCELLED" in text(shown)


def test_a_job_that_was_stopped_has_not_failed(shown, tmp_path):
    send(shown, event="run_info", stats={"pretrain_size": 1})
    begin(shown, 1, log=[tmp_path / "job.log"], size="16")
    report(tmp_path, 1, state="stopped")
    send(shown, logging.ERROR, event="job_error", jobid=1)
    assert text(shown).splitlines() == ["■ pretrain 16 stopped"]


def test_a_bar_redrawn_in_place_is_one_line(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("reading: 1 MB\rreading: 2 MB\nwriting\n")
    assert tail([log, tmp_path / "none.log"], 2) == ["reading: 2 MB", "writing"]


def test_messages_before_a_run_are_printed_only_where_none_follows(shown, monkeypatch, tmp_path):
    send(shown, message="Building DAG of jobs...")
    send(shown, event="run_info", stats={"fit_law": 1})
    shown.close()
    assert text(shown) == ""
    idle = make(monkeypatch, tmp_path, tty=False)
    send(idle, message="Nothing to be done")
    idle.close()
    assert text(idle) == "Nothing to be done\n"


def test_warnings_are_passed_on_and_repetitions_of_a_failed_jobs_message_are_not(shown):
    send(shown, event="run_info", stats={"fit_law": 1})
    send(shown, logging.WARNING, message="the disk is nearly full")
    send(shown, logging.ERROR, message="RuleException:\nCalledProcessError in file x")
    assert text(shown) == "the disk is nearly full\n"


def test_a_stopped_run_is_reported(shown):
    send(shown, event="run_info", stats={"fit_law": 1})
    begin(shown, 1, rule="fit_law")
    send(shown, message="Select jobs to execute...")
    for _ in range(2):
        send(shown, message="Will exit after finishing currently running jobs (scheduler).")
    unfinished = "WorkflowError:\nAt least one job did not complete successfully."
    send(shown, logging.ERROR, message=unfinished)
    assert text(shown).splitlines() == [
        "Will exit after finishing currently running jobs (scheduler).",
        *unfinished.splitlines(),
    ]
    send(shown, logging.ERROR, event="job_error", jobid=1)
    send(shown, logging.ERROR, message=f"{unfinished} ")
    assert text(shown).count("At least one job") == 1


@pytest.mark.parametrize(
    "asked", [{}, {"dryrun": True}, {"printshellcmds": True}, {"quiet": "ALL"}, {"main": False}]
)
def test_snakemakes_own_output_stays_where_it_was_chosen(asked, monkeypatch, tmp_path):
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
    handler = follow(workflow, results=tmp_path, work=lambda rule, wildcards: 1.0)
    assert (handler is None) == bool({"dryrun", "main"} & set(asked))
    assert (before in logger.handlers) == bool(asked)
    logger.handlers.clear()


def test_the_work_is_recorded_where_another_display_was_chosen(shown):
    shown.before = None
    send(shown, event="run_info", stats={"fit_law": 1})
    begin(shown, 1, rule="fit_law")
    send(shown, logging.WARNING, message="the disk is nearly full")
    send(shown, event="job_finished", job_id=1)
    assert text(shown) == ""
    assert shown.last.name == "fit_law"


def test_the_end_of_a_run_shows_what_its_last_stage_found(shown, tmp_path, capsys):
    print_findings(shown, tmp_path)
    assert capsys.readouterr().out == ""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/fit_law.log").write_text("two skills\n")
    send(shown, event="run_info", stats={"fit_law": 1})
    begin(shown, 1, rule="fit_law")
    send(shown, event="job_finished", job_id=1)
    print_findings(shown, tmp_path)
    assert capsys.readouterr().out == "\ntwo skills\n\nWritten: 1.json\n"


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


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("reprot", "error: no rule makes reprot; did you mean report?"),
        ("results/x/a.csv", "error: no rule makes results/x/a.csv; docs/stages.md lists the tar"),
    ],
)
def test_a_target_that_does_not_exist_is_one_line(shown, target, line):
    """The messages before it are not printed: they are on a run that has not begun."""
    shown.rules = lambda: ["report", "fit_law", "pretrain_size"]
    send(shown, message="Building DAG of jobs...")
    words = "(if you use input functions make sure that they don't raise unexpected exceptions)."
    message = f"MissingRuleException:\nNo rule to produce {target} {words}"
    send(shown, level=logging.ERROR, message=message)
    shown.close()
    assert text(shown).startswith(line) and text(shown).count("\n") == 1
