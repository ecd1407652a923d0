"""`splitlaw run` and `splitlaw resume`: how they call Snakemake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_project import Project

from splitlaw.cli import checkout, main
from splitlaw.workflow import session


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder: `text/notes` in an empty checkout, with two configurations."""
    (tmp_path / "workflow_scripts/splitlaw").mkdir(parents=True)
    (tmp_path / "Snakefile").touch()
    here = tmp_path / "text/notes"
    here.mkdir(parents=True)
    for name in ("mine.yaml", "small.yaml"):
        (here / name).write_text("experiment: mine")
    (tmp_path / "config.yaml").write_text("experiment: default")
    (here / "empty.yaml").touch()
    (here / "open.yaml").write_text("a: [1")
    (here / "tabs.json").write_text('{\n\t"experiment": "mine"}')
    monkeypatch.chdir(here)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    return here


@pytest.fixture
def called(folder, monkeypatch):
    """Call a command; returns the arguments that Snakemake would receive."""

    def call(*args: str) -> list[str]:
        started = []
        monkeypatch.setattr(os, "execv", lambda program, argv: started.append((program, argv)))
        assert main(list(args)) == 0
        ((program, argv),) = started
        assert program == argv[0] == sys.executable
        assert argv[1:3] == ["-m", "snakemake"]
        assert Path.cwd() == folder.parents[1], "Snakemake starts in the checkout"
        return argv[3:]

    return call


def test_all_cores_are_used_unless_a_number_or_a_profile_is_given(called, folder, monkeypatch):
    assert called("run") == ["--cores", "all"]
    os.chdir(folder)
    assert called("run", "report", "-n") == ["--cores", "all", "report", "-n"]
    for args in (["--cores", "2"], ["--cores=2"], ["-c2"], ["-j", "3"], ["--profile", "slurm"]):
        os.chdir(folder)
        assert called("run", "report", *args) == ["report", *args]
    os.chdir(folder)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "slurm")
    assert called("run") == []


def test_a_target_after_a_configuration_stays_a_target(called, folder):
    args = called("run", "--configfile", "mine.yaml", "report", "--forcerun", "fit_law")
    wanted = ["report", "--forcerun", "fit_law", "--configfile", str(folder / "mine.yaml")]
    assert args == ["--cores", "all", *wanted]


def test_a_target_after_a_value_of_the_configuration_stays_a_target(called, folder):
    """Snakemake takes all that follows --config or --configfile as its values.

    Reported as sunbeam issue 263 and snk issue 98.
    """
    args = called("run", "--config", "text=a b", "x=1", "new_experiment", "-n")
    assert args == ["--cores", "all", "new_experiment", "-n", "--config", "text=a b", "x=1"]
    os.chdir(folder)
    args = called("run", "--config=text=a", "--configfile", "mine.yaml", "cost", "-c1")
    file = str(folder / "mine.yaml")
    assert args == ["cost", "-c1", "--config", "text=a", "--configfile", file]


def test_several_configurations_are_named_from_the_folder_of_the_call(called, folder):
    args = called("run", "--configfile", "mine.yaml", "--configfile=../notes/small.yaml", "-c1")
    assert args == ["-c1", "--configfile", *(str(folder / f"{n}.yaml") for n in ("mine", "small"))]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.yaml"], "none.yaml: no such file; --configfile names a file"),
        (["."], ".: is a folder; --configfile names a file"),
        (["mine.yaml", "small.yaml"], "small.yaml: is not a target; write --configfile before"),
        (["mine.yaml", "-n", "small.yaml"], "small.yaml: is not a target"),
        (["empty.yaml"], "{here}/empty.yaml: has no keys"),  # snakemake issue 2439
        (["open.yaml"], "{here}/open.yaml: cannot be read as YAML (while parsing"),
    ],
)
def test_a_wrong_configuration_is_one_line(folder, args, message, capsys):
    assert main(["run", "--configfile", *args]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(here=folder)}") and error.count("\n") == 1


def test_json_that_is_not_yaml_is_accepted(called, folder):
    args = called("run", "--configfile", "tabs.json")
    assert args == ["--cores", "all", "--configfile", str(folder / "tabs.json")]


@pytest.mark.parametrize("command", ["run", "resume"])
def test_a_missing_checkout_is_reported(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkout, "__file__", str(tmp_path / "site-packages/splitlaw/x.py"))
    assert main([command]) == 2
    error = capsys.readouterr().err
    assert "no checkout of splitlaw" in error and error.count("\n") == 1


def test_resume_removes_the_lock_of_the_folder_that_the_workflow_ran_in(called, folder):
    lock = folder / "own/.snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    (folder / "own" / session.RECORDS).mkdir(parents=True)
    assert main(["resume", "--directory", "other", "report"]) == 2
    own = str(folder / "own")
    assert called("resume", "--cores", "2", "--directory", "own") == [
        "--cores",
        "2",
        "--directory",
        own,
    ]
    assert not lock.exists()
    os.chdir(folder)
    assert called("run", "-c1", "--directory=own") == ["-c1", f"--directory={own}"]


def test_resume_passes_on_the_arguments_of_the_killed_command(called, folder, monkeypatch):
    # A machine may have the commands of Slurm without a cluster.
    monkeypatch.setattr(session, "queued_jobs", list)
    (folder.parents[1] / ".snakemake/locks").mkdir(parents=True)
    (folder.parents[1] / ".snakemake/locks/0.input.lock").touch()
    assert called("resume", "--profile", "slurm", "report") == ["--profile", "slurm", "report"]
    assert not (folder.parents[1] / ".snakemake/locks").exists()


@pytest.mark.slow
def test_a_dry_run_from_a_folder_of_the_checkout(root, tmp_path):
    project = Project(root, tmp_path)
    (tmp_path / "text").mkdir()
    args = ["--configfile", "../config.yaml", "fit_law", "--dry-run", "--quiet", "host"]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "workflow_scripts/splitlaw/__main__.py"), "run", *args],
        cwd=project.folder / "text",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "rule fit_law:" in done.stdout and "rule report:" not in done.stdout


@pytest.mark.slow
def test_the_workflow_runs_in_another_folder(root, tmp_path):
    """Results are written where Snakemake is started, or into --directory: snakemake issue 393."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("Some words of a text. " * 99)
    options = ["--cores", "1", "-s", str(root / "Snakefile"), "--directory", str(tmp_path / "own")]
    words = [sys.executable, "-m", "snakemake", *options]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        [*words, "new_experiment", "--config", "text=../text"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own/text.yaml").is_file()
    done = subprocess.run(
        [*words, "--dry-run", "-p", "report"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"python {root}/workflow_scripts/prepare_corpus.py" in done.stdout
